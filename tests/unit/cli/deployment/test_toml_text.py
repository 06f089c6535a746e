"""What is written as configuration is read back as it was."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from tollgate_cli.deployment import toml_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALAR = TEXT | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.lists(TEXT, max_size=3)
DOCUMENT = st.recursive(
    st.dictionaries(TEXT, SCALAR, max_size=4),
    lambda inner: st.dictionaries(TEXT, SCALAR | inner, max_size=4),
    max_leaves=12,
)


@given(DOCUMENT)
def test_every_document_comes_back(document) -> None:
    """Whatever the keys and values are: quotes, dots, line ends, control characters."""
    assert document == tomllib.loads(toml_text.render(document))
