import pytest

from tests.bench import canned
from tests.bench.canned import Dialect, Shape

SHAPES = [Shape(dialect, stream) for dialect in Dialect for stream in (False, True)]


def answer(shape: Shape) -> bytes:
    if shape.stream:
        return b"".join(canned.answer_events(shape.dialect))
    return canned.answer_body(shape.dialect)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_mocks_answer_passes(shape: Shape) -> None:
    """What the mock sends is what the load generator accepts."""
    assert canned.looks_whole(shape, answer(shape))
    assert canned.TEXT == canned.text_of(shape, answer(shape))


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.stream], ids=str)
def test_a_cut_stream_is_not_timed(shape: Shape) -> None:
    """A stream without its end, or without one of its chunks, is a wrong answer."""
    events = canned.answer_events(shape.dialect)
    assert not canned.looks_whole(shape, b"".join(events[:-1]))
    assert not canned.looks_whole(shape, b"".join(events[:5] + events[-5:]))


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if not shape.stream], ids=str)
def test_an_error_body_is_not_timed(shape: Shape) -> None:
    """A body with another text is a wrong answer."""
    assert not canned.looks_whole(shape, b'{"error":{"code":"upstream_error"}}')
