"""A C2SP checkpoint: which log, how many entries, which root; carried by a signed note.

Promises: the text has one spelling; extension lines are refused, since no auditor could check
them. Never signs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tollgate_tlog import merkle, note

LATEST_PATH = "checkpoint"
HISTORY_DIRECTORY = "checkpoints"

_TEXT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n", re.ASCII)


class CheckpointError(ValueError):
    """Not a checkpoint, or not one that a known key signed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of one log at one size."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @property
    def path(self) -> str:
        """Where the write-once copy stands."""
        return f"{HISTORY_DIRECTORY}/{self.size}"


def parse(text: str) -> Checkpoint:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise CheckpointError("not a checkpoint of three lines")
    try:
        root = note.decode_base64(match[3])
    except note.NoteError:
        raise CheckpointError("the checkpoint's root is not Base 64") from None
    if len(root) != merkle.HASH_BYTES:
        raise CheckpointError("the checkpoint's root is not a hash")
    return Checkpoint(origin=match[1], size=int(match[2]), root=root)


def open_checkpoint(
    data: bytes, keys: Iterable[note.VerifierKey], verify: note.Verify
) -> tuple[Checkpoint, note.VerifierKey]:
    """The checkpoint in a signed note, and the given key that signed it."""
    try:
        text, key = note.open_note(data, keys, verify)
    except note.NoteError as error:
        raise CheckpointError(str(error)) from None
    return parse(text), key
