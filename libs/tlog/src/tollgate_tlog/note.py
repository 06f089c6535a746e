"""The C2SP signed note: a text and the signature lines under it.

Promises: one reading of the bytes; an unknown key's signature is ignored, a known key's wrong one
refuses the whole note. Never verifies by itself: the Ed25519 function is given.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

ED25519 = 0x01
NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100

_ID_BYTES = 4
_KEY_BYTES = 32
_DASH = "\N{EM DASH} "

# (public key, message, signature) -> whether it is valid
Verify = Callable[[bytes, bytes, bytes], bool]


class NoteError(ValueError):
    """Not a note, or not one that a known key signed."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key and the name it signs under."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not _good_name(self.name):
            raise NoteError("a key name is empty or has a space or a plus")
        if len(self.public_key) != _KEY_BYTES:
            raise NoteError("an Ed25519 public key has 32 bytes")

    @property
    def key_id(self) -> bytes:
        """Four bytes that find the key in a signature line; it proves nothing."""
        body = self.name.encode() + b"\n" + bytes([ED25519]) + self.public_key
        return hashlib.sha256(body).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """The vkey text: name+id+base64(type, key)."""
        key = base64.b64encode(bytes([ED25519]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, its final newline included, and all its signature lines, verified or not."""

    text: str
    signatures: tuple[Signature, ...]


def parse_key(vkey: str) -> VerifierKey:
    parts = vkey.split("+", 2)
    if len(parts) != 3:  # noqa: PLR2004 - name, id, key
        raise NoteError("a verifier key is name+id+key")
    body = decode_base64(parts[2])
    if body[:1] != bytes([ED25519]):
        raise NoteError("not an Ed25519 verifier key")
    key = VerifierKey(parts[0], body[1:])
    if str(key) != vkey:
        raise NoteError("the verifier key's id is not that of its name and key")
    return key


def encode(text: str, signatures: Iterable[Signature]) -> bytes:
    assert text.endswith("\n"), "a note's text ends with a newline"
    return (text + "\n" + "".join(map(str, signatures))).encode()


def parse(data: bytes) -> Note:
    """Read the form; who signed is not looked at."""
    if len(data) > NOTE_BYTES_MAX:
        raise NoteError("the note is too long")
    try:
        whole = data.decode("utf-8", errors="strict")
    except UnicodeDecodeError:
        raise NoteError("the note is not UTF-8") from None
    if any(c < " " and c != "\n" for c in whole):
        raise NoteError("the note has a control character")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteError("the note has no signature lines")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > SIGNATURES_MAX:
        raise NoteError("the note has too many signatures")
    return Note(text + "\n", signatures)


def open_note(data: bytes, keys: Iterable[VerifierKey], verify: Verify) -> tuple[str, VerifierKey]:
    """The text, and the first given key that signed it; else NoteError."""
    note = parse(data)
    known = {(key.name, key.key_id): key for key in keys}
    signed_by: VerifierKey | None = None
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if not verify(key.public_key, note.text.encode(), line.signature):
            raise NoteError(f"the signature of {key.name} is wrong")
        signed_by = signed_by or key
    if signed_by is None:
        raise NoteError("no given key signed the note")
    return note.text, signed_by


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_DASH).rpartition(" ")
    if not line.startswith(_DASH) or not space or not _good_name(name):
        raise NoteError("a signature line is malformed")
    body = decode_base64(encoded)
    if len(body) <= _ID_BYTES:
        raise NoteError("a signature line is malformed")
    return Signature(name, body[:_ID_BYTES], body[_ID_BYTES:])


def decode_base64(text: str) -> bytes:
    """Standard Base 64 in its one canonical spelling: stray trailing bits are refused too."""
    try:
        body = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError("not Base 64") from None
    if base64.b64encode(body).decode() != text:
        raise NoteError("not canonical Base 64")
    return body


def _good_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)
