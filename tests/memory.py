"""What processes have in memory: every mapping that can be read, searched for a secret.

A secret is sought as it is, and as hex and base64 write it, wherever in a longer text it stands.
The memory of a service is open to root alone (test_no_core_file_of_a_service_can_be_had): tests of
another user find nothing there.
"""

import base64
import contextlib
import os
import secrets
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

IS_ROOT = os.geteuid() == 0
# What a look at a process may meet: it has ended, or is closed to who is not root.
_UNSEEN = (FileNotFoundError, ProcessLookupError, *(() if IS_ROOT else (PermissionError,)))
_PIECE = 1 << 22


def canary() -> str:
    """A secret that no compression shortens, and whose hex has letters."""
    alphabet = string.ascii_letters + string.digits
    return "Zo" + "".join(secrets.choice(alphabet) for _ in range(46))


def spellings(secret: str) -> dict[str, bytes]:
    """How a secret of letters and digits may be written: name -> bytes.

    Of those, base64 and its form for URLs make the same.
    """
    plain = secret.encode()
    assert secret.isalnum()
    told = {"plain": plain, "hex": plain.hex().encode(), "HEX": plain.hex().upper().encode()}
    for shift in range(3):
        # What stands before and after it decides on a character at either end.
        text = base64.b64encode(b"\0" * shift + plain).rstrip(b"=")
        whole = len(text) - (1 if (shift + len(plain)) % 3 else 0)
        told[f"base64 after {shift}"] = text[shift and shift + 1 : whole]
    return told


def spelled_in(data: bytes, needles: Mapping[str, bytes]) -> set[str]:
    """The spellings that data has."""
    return {name for name, needle in needles.items() if needle in data}


def spelled_in_process(pid: int, needles: Mapping[str, bytes]) -> set[str]:
    """The spellings that a process has in memory; none, where it is not to be seen."""
    with contextlib.suppress(*_UNSEEN):
        return {found for piece in _pieces(pid, needles) for found in spelled_in(piece, needles)}
    return set()


def told_of(pid: int, part: str) -> bytes:
    """A file of /proc about a process, for example "environ"; empty, where it is not to be seen."""
    with contextlib.suppress(*_UNSEEN):
        return Path(f"/proc/{pid}/{part}").read_bytes()
    return b""


def _pieces(pid: int, needles: Mapping[str, bytes]) -> Iterator[bytes]:
    """All that can be read, in pieces that overlap, so that a big heap needs no big buffer."""
    overlap = max(map(len, needles.values())) - 1
    spans = [line.split()[:2] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for span, mode in spans:
            begin, end = (int(part, 16) for part in span.split("-"))
            # vsyscall lies beyond what can be sought, vvar and pages that went cannot be read.
            with contextlib.suppress(OSError, ValueError, OverflowError):
                kept = b""
                while "r" in mode and begin < end:
                    piece = os.pread(memory.fileno(), min(_PIECE, end - begin), begin)
                    if not piece:
                        break
                    yield kept + piece
                    kept = piece[-overlap:]
                    begin += len(piece)


def below(root: int) -> dict[int, str]:
    """A process and all that came of it: id -> command line."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.parent.name)] = int(fields[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: told_of(pid, "cmdline").replace(b"\0", b" ").decode() for pid in sorted(found)}
