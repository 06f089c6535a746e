"""The pace of refusals: nobody waits who asks little, nobody costs much who asks without end."""

from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.limits import pace
from tollgate_edge.limits.pace import BURST, PER_SECOND, WAIT_SECONDS_MAX, Pace


def test_case_B1_within_the_burst_nobody_waits_and_beyond_it_the_pace_holds():
    """One holder's flood is answered at a steady pace; another holder is answered at once."""
    paces = Pace()
    waits = [paces.wait("flood", 50.0) for _ in range(BURST + 400)]
    assert [0.0] * BURST == waits[:BURST]
    assert waits == sorted(waits)
    assert abs(waits[BURST + 200] - 200 / PER_SECOND) < 2 / PER_SECOND
    assert 0.0 == paces.wait("other", 50.0)
    # Who has waited has nothing to wait for any more.
    assert 0.0 == paces.wait("flood", 50.0 + (BURST + 400) / PER_SECOND)


@given(st.lists(st.floats(0, 0.05), max_size=3000))
def test_no_wait_is_longer_than_its_bound(gaps):
    """However many ask: nobody waits longer, and the debt does not grow beyond it."""
    paces, now = Pace(), 0.0
    for gap in gaps:
        now += gap
        assert 0.0 <= paces.wait("a", now) <= WAIT_SECONDS_MAX
    assert 0.0 == paces.wait("a", now + WAIT_SECONDS_MAX + BURST / PER_SECOND)


def test_memory_is_bounded(monkeypatch):
    """Random keys and addresses push out the oldest."""
    monkeypatch.setattr(pace, "HOLDERS_MAX", 3)
    paces = Pace()
    for name in "abcde":
        paces.wait(name, 1.0)
    assert 3 == len(paces)
