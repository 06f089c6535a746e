"""Builds small published logs in a directory, for tests that read or ruin them."""

import json
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tollgate_tlog import merkle, note, tiles
from tollgate_tlog.checkpoint import Checkpoint

ORIGIN = "tollgate.test/log"
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = note.VerifierKey(ORIGIN, PRIVATE_KEY.public_key().public_bytes_raw())
NOW_UNIX_MS = 1_900_000_000_000


def entry(kind: str, sequence: int, payload: dict, *, producer="edge-api/p1", trace="t") -> bytes:
    """A leaf as audit writes it."""
    body = {
        "kind": kind,
        "payload": payload,
        "producer": producer,
        "sequence": sequence,
        "subject": "AAAAAAAAAAAAAAAAAAAAAA",
        "tenant": "T1",
        "trace_id": trace,
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def call(number: int, *, cost: int = 7, charged: bool = True) -> list[bytes]:
    """CALL_ADMITTED and CALL_FINISHED of one call; sequences follow from its number, from 0."""
    admitted = {
        "reservation_id": f"r{number}",
        "account_ids": ["key:K1", "tenant:T1"],
        "amount_nano_usd": 100,
        "time_unix_ms": NOW_UNIX_MS - 90_000,
    }
    finished = {"reservation_id": f"r{number}", "cost_nano_usd": cost, "charged": charged}
    trace = f"trace{number}"
    return [
        entry("CALL_ADMITTED", 2 * number + 1, admitted, trace=trace),
        entry("CALL_FINISHED", 2 * number + 2, finished, trace=trace),
    ]


def calls(count: int) -> list[bytes]:
    return [leaf for number in range(count) for leaf in call(number)]


def sign(head: Checkpoint, key: Ed25519PrivateKey = PRIVATE_KEY) -> bytes:
    signature = key.sign(head.text.encode())
    return note.encode(head.text, [note.Signature(ORIGIN, KEY.key_id, signature)])


def write(root: Path, path: str, data: bytes) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(data)


def publish(root: Path, entries: list[bytes], sizes: Iterable[int] | None = None) -> None:
    """The log of ``entries`` with a checkpoint at each of ``sizes`` and partial tiles for each."""
    leaves = [merkle.leaf_hash(leaf) for leaf in entries]
    previous = None
    for size in sizes if sizes is not None else [len(entries)]:
        rows = leaves[:size]
        for index, start, end in tiles.bundle_of(0, size):
            tile = tiles.Tile(None, index, end - start)
            write(root, tile.path, tiles.encode_bundle(entries[start:end]))
        for tile, data in tiles.grow(0, rows, stored=lambda tile: b""):
            write(root, tile.path, data)
        head = Checkpoint(ORIGIN, size, merkle.root(rows), previous)
        previous = size
        write(root, head.path, sign(head))
        write(root, "checkpoint", sign(head))
