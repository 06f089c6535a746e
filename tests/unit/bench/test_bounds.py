"""The document says how close bounds are now."""

from tests.bench import bounds


def test_the_table_is_what_the_code_computes():
    """docs/bounds.md, from recorded bills; `python -m tests.bench.bounds` writes it."""
    text = bounds.PAGE.read_text()
    assert bounds.page(text) == text
