"""`python -m tests.e2e.clients.matrix`: which client was run on which upstream, and what it did there.

Writes the table of docs/clients.md from what the tests beside this say that they show.
"""

import importlib
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.clients import stage

PAGE = Path(__file__).parents[3] / "docs" / "clients.md"
TESTS = ("test_codex", "test_claude_code", "test_sdk_clients")
FEATURES = (
    "text", "tools in turn", "parallel tools", "thinking across turns", "refusals",
    "a busy upstream", "a failing stream", "cancelling",
)  # fmt: skip
# In the order in which a cell has them; where a cell has all but the client's own: "all".
SPOKEN = {
    "chat": stage.chat, "Responses": stage.responses, "messages": stage.messages,
    "Gemini": stage.gemini, "DashScope": stage.dashscope, "Bedrock": stage.bedrock,
}  # fmt: skip
_MARKS = re.compile(r"(<!-- clients -->\n).*?(<!-- /clients -->)", re.DOTALL)
# (client, what it speaks) → feature → names of upstreams' protocols
_shown: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))


def note(client: str, speaks: str, upstreams: Sequence[str], features: Sequence[str]) -> None:
    """A test shows these of a client, on each of these upstreams."""
    assert set(features) <= set(FEATURES), features
    spoken = {module: name for name, module in SPOKEN.items()}
    for feature in features:
        _shown[client, speaks][feature] |= {spoken[stage.vendor_of(label)] for label in upstreams}


def shows(
    client: str, speaks: str, upstreams: Sequence[str], *features: str
) -> pytest.MarkDecorator:
    """Runs a test on each of the upstreams, and notes what it shows there."""
    note(client, speaks, upstreams, features)
    return pytest.mark.parametrize("upstream", upstreams)


def markdown() -> str:
    """The table."""
    for name in TESTS:
        importlib.import_module(f"tests.e2e.clients.{name}")
    rows = [["client", "speaks", *FEATURES]]
    for (client, speaks), shown in sorted(_shown.items(), key=lambda row: row[0][0].lower()):
        others = [name for name in SPOKEN if name != speaks]
        rows.append([client, speaks, *(_cell(shown[one], others) for one in FEATURES)])
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *rest])


def _cell(found: set[str], others: list[str]) -> str:
    named = [name for name in SPOKEN if name in found]
    return "all" if named == others else ", ".join(named) or "–"


def page(text: str) -> str:
    """The page with the table in it."""
    return _MARKS.sub(lambda marks: f"{marks[1]}{markdown()}\n{marks[2]}", text)


if __name__ == "__main__":
    # By its name: what runs here is another module than the one that the tests note in.
    matrix = importlib.import_module("tests.e2e.clients.matrix")
    PAGE.write_text(matrix.page(PAGE.read_text()))
