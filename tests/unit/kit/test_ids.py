from hypothesis import given
from hypothesis import strategies as st

from tollgate_kit.clock import ManualClock
from tollgate_kit.ids import BASE62, Ids


def test_uuid7_has_the_layout_of_rfc_9562():
    """A UUIDv7 carries its millisecond first, then version 7 and variant 10."""
    ids = Ids(ManualClock(unix_ms=0x0123456789AB), random_bytes=lambda n: b"\xff" * n)
    assert ids.uuid7() == "01234567-89ab-7fff-bfff-ffffffffffff"


def test_uuid7_sorts_by_time():
    """An id made a millisecond later sorts after one made before."""
    clock = ManualClock()
    ids = Ids(clock)
    first = ids.uuid7()
    clock.advance(0.001)
    assert first < ids.uuid7()


@given(st.integers(min_value=1, max_value=200))
def test_base62_has_the_length_and_alphabet_asked_for(length):
    """A base62 text is exactly as long as asked and holds letters and digits only."""
    text = Ids(ManualClock()).base62(length)
    assert (len(text), set(text) <= set(BASE62)) == (length, True)


def test_base62_throws_unfair_bytes_away():
    """Bytes that would make some letters likelier than others are not used."""
    stream = iter([bytes([255, 254, 0, 1]), bytes([248, 61, 2, 3])])
    assert Ids(ManualClock(), lambda _n: next(stream)).base62(2) == "01"
