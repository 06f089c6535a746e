"""Members of a listed kind, however nested: nothing is dropped where nothing must be."""

import copy

from hypothesis import example, given
from hypothesis import strategies as st

from tollgate_dialects.answer.schema import FACTS, SCALAR, kept

# Words and names that pass, and some that must not.
NAMES = st.sampled_from(["input_tokens", "a/b", "", "a b", "x" * 65, "10.0.0.7"])
WORDS = st.sampled_from(["TEXT", "on_demand", "", "two words", "gpu-node-17", "a-" * 65])
VALUES = st.recursive(
    WORDS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
KIND = {"usage": FACTS, "id": SCALAR, "items": [{"usage": FACTS}]}
DOCUMENTS = st.fixed_dictionaries(
    {"usage": VALUES, "id": VALUES},
    optional={"items": st.lists(st.fixed_dictionaries({"usage": VALUES}), max_size=2)},
)


@given(DOCUMENTS)
def test_what_passes_passes_whole(document):
    """What is left of a document passes as it is, and its reader changes nothing in it."""
    before = copy.deepcopy(document)
    left = kept(document, KIND)
    assert kept(left, KIND) is left
    assert before == document
    assert (left is document) == (left == document)


@given(VALUES)
@example("a-" * 65)
@example({"a": ["gpu-node-17"]})
def test_no_word_passes_that_may_not(value):
    """However deep it stands, and also when it was asked for before."""
    for _ in range(2):
        left = repr(kept({"usage": value}, KIND))
        assert not any(
            bad in left for bad in ("two words", "gpu-node-17", "x" * 65, "a b", "a-" * 65)
        )


def test_what_is_nested_too_deeply_does_not_pass():
    """Eight levels do, nine do not: nobody reports so."""
    value = 1
    for _ in range(8):
        value = {"a": value}
    assert {"usage": value} == kept({"usage": value}, KIND)
    deepest = kept({"usage": {"a": value}}, KIND)
    assert "1" not in repr(deepest)
