import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_kit import canonical

NAMES = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=8)
INTEGERS = st.integers(-canonical.INTEGER_MAX, canonical.INTEGER_MAX)
LEAVES = st.none() | st.booleans() | INTEGERS | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=4) | st.dictionaries(NAMES, v))


@given(VALUES)
def test_canonical_bytes_are_those_of_rfc_8785(value):
    """In the subset, canonical bytes are a compact, sorted, unescaped dump, and read back the same."""
    data = canonical.dumps(value)
    assert (
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        .encode()
        .replace(b"\x7f", b"\x7f")
        == data
    )
    assert value == canonical.loads_canonical(data)


@pytest.mark.parametrize(
    "data",
    [b'{"b":1,"a":2}', b'{"a": 1}', b'{"a":1}\n', b'{"a":1.0}', b'{"a":1,"a":1}', b"[1]", b"{"],
)
def test_anything_else_is_refused(data):
    """Unsorted, spaced, float, duplicate, non-object or broken JSON is not canonical evidence."""
    with pytest.raises(ValueError):
        canonical.check(data)


@pytest.mark.parametrize("value", [1.5, float("nan"), {1: 2}, {"é": 1}, b"x", 2**53, {"a": {1}}])
def test_values_outside_the_subset_are_refused(value):
    """Floats, big integers and odd names cannot get into evidence."""
    with pytest.raises(ValueError):
        canonical.dumps(value)
