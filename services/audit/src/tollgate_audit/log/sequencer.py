"""Decides where entries go: producer sequences, replays, and the next free indices.

Pure. Promises: indices are given without a gap, each (producer, sequence) once and for ever; a
repeat with the same bytes gets its first index, with other bytes a refusal; a submission is taken
whole or not at all. Never reads a store: what is known comes in, what to write goes out.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tollgate_audit.log.entry import PreparedEntry


class AppendDenial(enum.Enum):
    """Why a submission was not taken."""

    GAP = "gap"  # its first sequence is not the next one
    MISMATCH = "mismatch"  # a sequence it repeats was stored with other bytes
    BACKLOG = "backlog"  # too much is unpublished already


class Submission(NamedTuple):
    """Entries of one producer, with consecutive sequences from ``first_sequence`` on."""

    producer: str
    first_sequence: int
    entries: tuple[PreparedEntry, ...]

    @property
    def last_sequence(self) -> int:
        return self.first_sequence + len(self.entries) - 1


@dataclass(frozen=True, slots=True)
class Producer:
    """What is known of a producer."""

    first_index: int
    last_sequence: int


class Stored(NamedTuple):
    """An entry as the log has it."""

    log_index: int
    leaf: bytes


class Appended(NamedTuple):
    """The log index of each entry, in the order sent."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of the submission was taken. ``sequence``: the one due (GAP) or at odds."""

    refusal: AppendDenial
    sequence: int


AppendOutcome = Appended | Refused
StoredEntries = Mapping[tuple[str, int], Stored]


@dataclass(slots=True)
class Decision:
    """What to answer and what to write; ``new`` holds (producer's first index, sequence, entry)."""

    outcomes: list[AppendOutcome] = field(default_factory=list)
    new: list[tuple[int, int, PreparedEntry]] = field(default_factory=list)
    producers: dict[str, Producer] = field(default_factory=dict)


def repeated(
    submissions: Iterable[Submission], producers: Mapping[str, Producer]
) -> list[tuple[str, int, int]]:
    """(producer, first, last) of the sequences whose stored entries decide() must be given."""
    ranges: list[tuple[str, int, int]] = []
    for submission in submissions:
        known = producers.get(submission.producer)
        if known is not None and submission.first_sequence <= known.last_sequence:
            last = min(submission.last_sequence, known.last_sequence)
            ranges.append((submission.producer, submission.first_sequence, last))
    return ranges


def decide(
    submissions: Sequence[Submission],
    *,
    size: int,
    room: int,
    producers: Mapping[str, Producer],
    stored: StoredEntries,
) -> Decision:
    """Sequence submissions, in the order they came, behind a log of ``size`` entries.

    ``room``: how many entries may still be added before the unpublished backlog is full.
    """
    decision = Decision()
    seen = dict(stored)  # grows by what this batch adds: a repeat may be in the same batch
    for submission in submissions:
        outcome = _decide_one(submission, decision, size, room, producers, seen)
        decision.outcomes.append(outcome)
    return decision


def _decide_one(
    submission: Submission,
    decision: Decision,
    size: int,
    room: int,
    producers: Mapping[str, Producer],
    seen: dict[tuple[str, int], Stored],
) -> AppendOutcome:
    name = submission.producer
    known = decision.producers.get(name) or producers.get(name)
    last = known.last_sequence if known else 0
    if submission.first_sequence > last + 1:
        return Refused(AppendDenial.GAP, last + 1)
    old = max(0, min(last, submission.last_sequence) - submission.first_sequence + 1)
    indices: list[int] = []
    for sequence, entry in enumerate(submission.entries[:old], submission.first_sequence):
        before = seen[name, sequence]
        if before.leaf != entry.leaf:
            return Refused(AppendDenial.MISMATCH, sequence)
        indices.append(before.log_index)
    added = submission.entries[old:]
    if not added:
        return Appended(tuple(indices))
    if len(decision.new) + len(added) > room:
        return Refused(AppendDenial.BACKLOG, submission.first_sequence + old)
    # From here on the submission is taken.
    next_index = size + len(decision.new)
    first_index = known.first_index if known else next_index
    for sequence, entry in enumerate(added, submission.first_sequence + old):
        seen[name, sequence] = Stored(next_index, entry.leaf)
        decision.new.append((first_index, sequence, entry))
        indices.append(next_index)
        next_index += 1
    decision.producers[name] = Producer(first_index, submission.last_sequence)
    return Appended(tuple(indices))
