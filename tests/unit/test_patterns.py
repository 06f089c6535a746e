"""Regular expressions mean the same on every Python that we promise to run on."""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from tollgate_dialects.answer import template
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS

PACKAGES = (
    "dialects",
    "kit",
    "tlog",
    "operations",
    "cli",
    "edge",
    "authz",
    "budget",
    "router",
    "audit",
)
ONE_CHARACTER = (code.LITERAL, code.NOT_LITERAL, code.IN, code.ANY)
FRAMES = {
    Protocol.OPENAI_CHAT: b'data: {"id":"c","object":"chat.completion.chunk",'
    b'"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    Protocol.ANTHROPIC_MESSAGES: b'event: content_block_delta\ndata: {"type":"content_block_delta",'
    b'"index":0,"delta":{"type":"text_delta","text":"a"}}\n\n',
    Protocol.OPENAI_RESPONSES: b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"m",'
    b'"output_index":0,"content_index":0,"delta":"a"}\n\n',
    Protocol.OPENAI_COMPLETIONS: b'data: {"id":"c","object":"text_completion",'
    b'"choices":[{"index":0,"text":"a"}]}\n\n',
}
# Their frames all tell usage: each is read.
READ_ALWAYS = {Protocol.GEMINI, Protocol.DASHSCOPE}


def patterns_in(value: object) -> Iterator[re.Pattern[Any]]:
    """The patterns that a module's variable holds."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from patterns_in(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from patterns_in(item)


def possessive_groups(parsed: Iterable[Any]) -> Iterator[Any]:
    """Possessive repeats of more than one character: `(?:ab?)++`."""
    for operation, arguments in parsed:
        if operation is code.POSSESSIVE_REPEAT:
            body = list(arguments[2])
            if len(body) != 1 or body[0][0] not in ONE_CHARACTER:
                yield body
        for inner in arguments if isinstance(arguments, tuple | list) else (arguments,):
            if isinstance(inner, parser.SubPattern):
                yield from possessive_groups(inner)
            elif isinstance(inner, list):
                for branch in inner:
                    if isinstance(branch, parser.SubPattern):
                        yield from possessive_groups(branch)


def all_patterns() -> dict[str, re.Pattern[Any]]:
    """Every pattern of every module, and one that is made while streams are read."""
    found: dict[str, re.Pattern[Any]] = {}
    streamed = {p for p, dialect in DIALECTS.items() if not dialect.request.refused.get("stream")}
    assert streamed == FRAMES.keys() | READ_ALWAYS
    assert all(DIALECTS[protocol].answer.vocabulary is None for protocol in READ_ALWAYS)
    for protocol, frame in FRAMES.items():
        dialect = DIALECTS[protocol]
        words = dialect.answer.vocabulary
        made = template.of(frame, words)
        assert made is not None
        for name, pattern in (
            ("template.of", made), ("variable", words.variable), ("fixed", words.fixed),
            ("text", dialect.answer.text),
        ):  # fmt: skip
            found[f"{protocol.value} {name}"] = pattern
    for package in (importlib.import_module(f"tollgate_{name}") for name in PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                for at, pattern in enumerate(patterns_in(value)):
                    found[f"{module.name}.{name}[{at}]"] = pattern
    return found


def test_no_group_is_repeated_possessively():
    """Before Python 3.11.5 `(?:...)++` of a group matches wrongly (gh-106052): so we have none.

    Debian 12's Python is one of those: every stream but the first of its shape ended as an error.
    """
    found = all_patterns()
    assert len(found) > 60
    for name, pattern in found.items():
        assert not list(possessive_groups(parser.parse(pattern.pattern, pattern.flags))), name


@pytest.mark.parametrize("text", ["(?:ab?c)++", "x(?:a|bc)*+", "(?:(?:a.)?+b)"])
def test_such_a_group_is_seen(text):
    """The check above can fail."""
    assert list(possessive_groups(parser.parse(text)))
