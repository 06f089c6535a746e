"""The sequencer: whatever is retried, doubled or reordered, the log has no gap and no repeat."""

from hypothesis import given
from hypothesis import strategies as st

from tollgate_audit.log import sequencer
from tollgate_audit.log.entry import PreparedEntry
from tollgate_audit.log.sequencer import (
    AppendDenial,
    Appended,
    Producer,
    Refused,
    Stored,
    Submission,
)

ROOM = 10_000


def entries(producer: str, first: int, last: int, salt: str = "") -> tuple[PreparedEntry, ...]:
    return tuple(
        PreparedEntry("T", "t", f"{producer}:{sequence}{salt}".encode())
        for sequence in range(first, last + 1)
    )


def submit(producer: str, first: int, last: int, salt: str = "") -> Submission:
    return Submission(producer, first, entries(producer, first, last, salt))


class Log:
    """The store's part: keeps what is decided."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, bytes]] = []
        self.producers: dict[str, Producer] = {}

    def append(self, *batch: Submission, room: int = ROOM) -> list[sequencer.AppendOutcome]:
        names = {state.first_index: name for name, state in self.producers.items()}
        all_stored = {
            (names[producer], sequence): Stored(index, leaf)
            for index, (producer, sequence, leaf) in enumerate(self.rows)
        }
        needed = sequencer.repeated(batch, self.producers)
        stored = {
            (name, sequence): all_stored[name, sequence]
            for name, low, high in needed
            for sequence in range(low, high + 1)
        }
        decision = sequencer.decide(
            batch, size=len(self.rows), room=room, producers=self.producers, stored=stored
        )
        self.rows += [(producer, seq, entry.leaf) for producer, seq, entry in decision.new]
        self.producers |= decision.producers
        return decision.outcomes


def test_first_entries_get_the_next_indices():
    """Producers interleave; each entry has the next free index."""
    log = Log()
    outcomes = log.append(submit("a/1", 1, 2), submit("b/1", 1, 1), submit("a/1", 3, 3))
    assert outcomes == [Appended((0, 1)), Appended((2,)), Appended((3,))]
    assert [row[:2] for row in log.rows] == [(0, 1), (0, 2), (2, 1), (0, 3)]


def test_a_repeat_is_answered_as_the_first_time():
    """The same content under the same sequences gives the same indices, also within a batch."""
    log = Log()
    first = submit("a/1", 1, 3)
    assert log.append(first, first) == [Appended((0, 1, 2))] * 2
    log.append(submit("b/1", 1, 1))
    assert log.append(submit("a/1", 2, 4)) == [Appended((1, 2, 4))]
    assert len(log.rows) == 5


def test_other_content_under_a_sequence_is_a_mismatch():
    """Nothing of a submission that contradicts the log is taken."""
    log = Log()
    log.append(submit("a/1", 1, 2))
    assert log.append(submit("a/1", 2, 3, salt="x")) == [Refused(AppendDenial.MISMATCH, 2)]
    assert len(log.rows) == 2


def test_a_gap_is_refused_with_the_sequence_that_is_due():
    """A lost entry shows: what follows it is not taken."""
    log = Log()
    assert log.append(submit("a/1", 2, 2)) == [Refused(AppendDenial.GAP, 1)]
    assert log.append(submit("a/1", 1, 1), submit("a/1", 3, 3)) == [
        Appended((0,)),
        Refused(AppendDenial.GAP, 2),
    ]


def test_a_full_backlog_refuses_new_entries_only():
    """Repeats are answered, whole submissions are taken or not."""
    log = Log()
    log.append(submit("a/1", 1, 2))
    assert log.append(submit("a/1", 1, 2), submit("a/1", 3, 5), submit("b/1", 1, 2), room=2) == [
        Appended((0, 1)),
        Refused(AppendDenial.BACKLOG, 3),
        Appended((2, 3)),
    ]


names = st.sampled_from(["edge-api/1", "edge-api/2", "router/1"])
submissions = st.builds(
    lambda name, first, count, salt: submit(name, first, first + count, salt),
    names,
    st.integers(1, 12),
    st.integers(0, 6),
    st.sampled_from(["", "", "", "x"]),
)


@given(st.lists(st.lists(submissions, max_size=6), max_size=12), st.integers(0, 40))
def test_any_interleaving_gives_a_gapless_log(batches, room_at_end):
    """Duplicates, retries, gaps, lies, a full backlog: the log stays gapless and consistent."""
    log = Log()
    answered: dict[tuple[str, int], int] = {}
    for batch in batches:
        before = len(log.rows)
        outcomes = log.append(*batch, room=max(0, room_at_end - before))
        for submission, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Refused):
                continue
            for place, index in enumerate(outcome.indices):
                key = (submission.producer, submission.first_sequence + place)
                assert answered.setdefault(key, index) == index
                assert log.rows[index][1:] == (key[1], submission.entries[place].leaf)
    assert sorted(answered.values()) == list(range(len(log.rows)))
    assert len(log.rows) <= room_at_end
    for name, state in log.producers.items():
        sequences = [seq for producer, seq, _ in log.rows if producer == state.first_index]
        assert sequences == list(range(1, state.last_sequence + 1))
        assert log.rows[state.first_index][1] == 1, name
