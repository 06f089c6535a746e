"""Values are set in a file that people wrote, and nothing else of it changes."""

import tomllib

import pytest

from tollgate_cli.deployment.toml_values import with_values

TEXT = """\
# The head.
level = 1 # kept

[rpc]
# Where it listens.
listen = "a:1"
mine = true

[rpc.allow]
# Who may call.
"x.v1.A" = [
  "one",
  "two", # a note
]
"x.v1.B" = ["three"]

[other]
listen = "b:2"
"""


def test_only_the_named_value_changes() -> None:
    """Comments, other settings and equal names of other tables stay to the letter."""
    changed = with_values({"rpc": {"listen": "c:3"}}, TEXT)
    assert TEXT.replace('"a:1"', '"c:3"') == changed
    assert changed == with_values({"rpc": {"listen": "c:3"}}, changed)


def test_an_owned_table_holds_what_is_given_and_no_more() -> None:
    """A caller that is gone from the topology is gone from the list, whatever lines it took."""
    document = {"rpc": {"allow": {"x.v1.A": ["one"], "x.v1.C": ["four"]}}}
    changed = with_values(document, TEXT, owned=frozenset({"rpc.allow"}))
    assert document["rpc"]["allow"] == tomllib.loads(changed)["rpc"]["allow"]
    assert "# Who may call.\n" in changed
    kept = with_values(document, TEXT)
    assert ["three"] == tomllib.loads(kept)["rpc"]["allow"]["x.v1.B"]


def test_a_new_value_stands_behind_the_others_of_its_table() -> None:
    """What the file did not set is added to its table, not to the one that follows."""
    read = tomllib.loads(with_values({"rpc": {"more": 7}}, TEXT))
    assert {"listen": "a:1", "mine": True, "more": 7, "allow": read["rpc"]["allow"]} == read["rpc"]


def test_a_missing_table_is_refused() -> None:
    """A table that nobody explained is not added behind people's backs."""
    with pytest.raises(ValueError, match=r"it lacks \[redis\]"):
        with_values({"redis": {"url_file": "x"}}, TEXT)
