"""What a document says is the same after it was read and written."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common import documents

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, width=32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_every_value_comes_back(value):
    """Integers of any length, text of any characters."""
    raw = json.dumps(value, allow_nan=False) if "inf" not in str(value) else "1"
    expected = json.loads(raw)
    assert expected == documents.read(raw)
    assert expected == documents.read(documents.written(documents.read(raw.encode())))


@pytest.mark.parametrize(
    "number", ["9" * 19, "1" + "0" * 19, "-9223372036854775809", "18446744073709551616", "7" * 300]
)
def test_a_long_number_keeps_its_digits(number):
    """Snowflakes and keys of 128 bits are no approximations."""
    raw = b'{"id":%b,"n":[%b]}' % (number.encode(), number.encode())
    assert raw == documents.written(documents.read(raw))


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r'"a\ud800b"', "a\ufffdb"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\\ud800 \ud800"', "\\ud800 \ufffd"),
        (r'"\uD83D\uDE00\uDBFF"', "\U0001f600\ufffd"),
    ],
)
def test_half_of_a_pair_is_replaced(written, text):
    """It alone: whole pairs, and backslashes that only look like one, stay."""
    assert text == documents.read(written)
    assert text == documents.read(written.encode())


@pytest.mark.parametrize(
    "raw", [b"{", b"NaN", b'{"a":Infinity}', b"\xff", b'"\\ud800', b"1e999", b"1" * 5_000]
)
def test_what_is_no_json_stays_none(raw):
    """Forgiving a half of a pair forgives nothing else; nor is a number read as infinite."""
    with pytest.raises(ValueError):
        documents.read(raw)


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_depth_is_an_error_like_others(depth):
    """No document takes the interpreter's stack, whatever is in it."""
    for inner in (b"1", b"9" * 30, rb'"\ud800"'):
        with pytest.raises((ValueError, TypeError)):
            documents.written(documents.read(b"[" * depth + inner + b"]" * depth))
    deep: object = None
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises((ValueError, TypeError)):
        documents.written([10**30, deep])


def test_half_of_a_pair_that_came_otherwise_is_replaced_in_writing():
    """What is written is always UTF-8."""
    assert orjson.dumps({"a": "\ufffd"}) == documents.written({"a": "\ud800"})
    with pytest.raises(TypeError):
        documents.written({"a": object()})
