"""A C2SP checkpoint: which log, how many entries, which root; carried by a signed note.

One extension line says the size of the checkpoint before: so each one that is left proves that
those before it were there. Promises: the text has one spelling; any other extension line is
refused, since no auditor could check it. Never signs.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tollgate_tlog import merkle, note

LATEST_PATH = "checkpoint"
HISTORY_DIRECTORY = "checkpoints"

_SIZE = "(0|[1-9][0-9]{0,18})"
_TEXT = re.compile(rf"([^\n]+)\n{_SIZE}\n([^\n]+)\n(?:previous {_SIZE}\n)?", re.ASCII)


class CheckpointError(ValueError):
    """Not a checkpoint, or not one that a known key signed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of one log at one size."""

    origin: str
    size: int
    root: bytes
    # The size of the checkpoint before; None: the first one, or one from before there was this.
    previous: int | None = None

    @property
    def text(self) -> str:
        extension = "" if self.previous is None else f"previous {self.previous}\n"
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{extension}"

    @property
    def path(self) -> str:
        """Where the write-once copy stands."""
        return f"{HISTORY_DIRECTORY}/{self.size}"


def parse(text: str) -> Checkpoint:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise CheckpointError("not the text of a checkpoint")
    try:
        root = note.decode_base64(match[3])
    except note.NoteError:
        raise CheckpointError("the checkpoint's root is not Base 64") from None
    if len(root) != merkle.HASH_BYTES:
        raise CheckpointError("the checkpoint's root is not a hash")
    size, previous = int(match[2]), None if match[4] is None else int(match[4])
    if previous is not None and previous >= size:
        raise CheckpointError("the checkpoint before it is not smaller")
    return Checkpoint(origin=match[1], size=size, root=root, previous=previous)


def open_checkpoint(
    data: bytes, keys: Iterable[note.VerifierKey], verify: note.Verify
) -> tuple[Checkpoint, note.VerifierKey]:
    """The checkpoint in a signed note, and the given key that signed it."""
    try:
        text, key = note.open_note(data, keys, verify)
    except note.NoteError as error:
        raise CheckpointError(str(error)) from None
    return parse(text), key
