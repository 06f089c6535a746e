"""`python -m tests.unit.dialects.table`: what of the recorded traffic each protocol can tell.

Writes the tables of docs/translation.md; `--print` shows them alone. Counts, no judgement: what the
vendors' SDKs make of it, the tests beside this say.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tests.unit.dialects import corpus
from tollgate_dialects.answer.meter import BodyMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.answer import Answer
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.translation import Context, Target, Untranslatable
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS, UPSTREAM_DIALECTS
from tollgate_dialects.request import request

PAGE = Path(__file__).parents[3] / "docs" / "translation.md"
_MARKS = re.compile(r"(<!-- recorded -->\n).*?(<!-- /recorded -->)", re.DOTALL)
_APIS = {
    "chat": (Protocol.OPENAI_CHAT, ("openai.chat", "openai.chat(mistral)")),
    "Responses": (Protocol.OPENAI_RESPONSES, ("openai.responses",)),
    "messages": (Protocol.ANTHROPIC_MESSAGES, ("anthropic.messages",)),
    "Gemini": (Protocol.GEMINI, ("gemini.generatecontent", "gemini.streamgeneratecontent")),
    "DashScope": (
        Protocol.DASHSCOPE,
        (
            "dashscope.aigc.text-generation.generation",
            "dashscope.aigc.multimodal-generation.generation",
        ),
    ),
    "Bedrock": (Protocol.BEDROCK_CONVERSE, ("bedrock.converse",)),
}
_MODELS = {
    Protocol.OPENAI_CHAT: "gpt-4.1",
    Protocol.OPENAI_RESPONSES: "gpt-5",
    Protocol.ANTHROPIC_MESSAGES: "claude-sonnet-4-5",
    Protocol.GEMINI: "gemini-3-pro",
    Protocol.DASHSCOPE: "qwen3-vl-plus",
    Protocol.BEDROCK_CONVERSE: "anthropic.claude-sonnet-4-5-20250929-v1:0",
}
_FEATURES = {
    "tools": "tool_use", "results of tools": "tool_result", "thinking": "thinking",
    "signatures": "signature", "pictures": "image_in", "documents": "document",
    "schemas": "json_schema", "cache marks": "cache_control", "web search": "web_search",
    "code execution": "code_exec", "MCP": "mcp",
}  # fmt: skip
_OK = 200
_USAGE = Usage.of(input_tokens=1, output_tokens=1)


def _recorded(name: str) -> list[dict[str, Any]]:
    found = corpus.exchanges(*_APIS[name][1])
    return [one for one in found if one["status"] == _OK and isinstance(one.get("req"), dict)]


def _read(protocol: Protocol, document: Mapping[str, Any]) -> Request | None:
    """The request in the one form; None: it is refused."""
    rules = DIALECTS[protocol].request
    try:
        request.read(orjson.dumps(document), rules, rules.told("m", stream=False))
        return DIALECTS[protocol].translation.read_request(document)
    except BadRequest:
        return None


def _cell(asked: list[Request], target: Protocol) -> str:
    """How many can be asked there, and how many of them lose something that is named."""
    counts = Counter[str]()
    for one in asked:
        try:
            goal = Target(_MODELS[target], one.max_output_tokens or 4_096)
            written = UPSTREAM_DIALECTS[target].translation.write_request(one, goal)
            counts["lossy" if written.dropped else "whole"] += 1
        except (Untranslatable, BadRequest):
            counts["refused"] += 1
    asked_there = counts["lossy"] + counts["whole"]
    return f"{asked_there} ({counts['lossy']})" if counts["lossy"] else str(asked_there)


def _requests() -> Iterator[list[str]]:
    names = list(_APIS)
    yield ["client", "recorded", "accepted", *(f"→ {name}" for name in names)]
    for name in [one for one in names if _APIS[one][0] in DIALECTS]:
        protocol = _APIS[name][0]
        recorded = _recorded(name)
        asked = [found for one in recorded if (found := _read(protocol, one["req"])) is not None]
        cells = [
            "as it is" if _APIS[target][0] is protocol else _cell(asked, _APIS[target][0])
            for target in names
        ]
        yield [name, str(len(recorded)), str(len(asked)), *cells]


def _features() -> Iterator[list[str]]:
    clients = [name for name in _APIS if _APIS[name][0] in DIALECTS]
    yield ["feature", *clients]
    for feature, word in _FEATURES.items():
        cells = []
        for name in clients:
            having = [one for one in _recorded(name) if word in (one.get("features") or ())]
            accepted = sum(_read(_APIS[name][0], one["req"]) is not None for one in having)
            cells.append(f"{accepted} of {len(having)}" if having else "–")
        yield [feature, *cells]


def _answer(protocol: Protocol, text: str) -> Answer | None:
    meter = BodyMeter(UPSTREAM_DIALECTS[protocol].answer)
    meter.feed(text.encode())
    passed = meter.finish()
    return (
        UPSTREAM_DIALECTS[protocol].translation.read_answer(orjson.loads(passed))
        if passed
        else None
    )


def _answers() -> Iterator[list[str]]:
    clients = [name for name in _APIS if _APIS[name][0] in DIALECTS]
    yield ["upstream", "recorded whole", *(f"→ {name}" for name in clients)]
    context = Context(
        request=Request(model="m", turns=()), trace="a" * 32, created_s=1, estimated_input_tokens=1
    )
    for name, (protocol, _) in _APIS.items():
        texts = [one["resp_text"] for one in _recorded(name) if not one["stream"]]
        found = [answer for text in texts if text and (answer := _answer(protocol, text))]
        cells = []
        for client in clients:
            writer = DIALECTS[_APIS[client][0]].translation.write_answer
            told = sum(bool(writer(answer, _USAGE, context)) for answer in found)
            cells.append("as it is" if _APIS[client][0] is protocol else str(told))
        yield [name, str(len(found)), *cells]


def _table(rows: Iterator[list[str]]) -> str:
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|---" * (head.count("|") - 1) + "|", *rest])


def markdown() -> str:
    """The tables."""
    asked = (
        "Recorded requests that an upstream answered, and how many can be asked of each other one;"
        " in brackets, of these, those that leave something out and name it:"
    )
    accepted = "What of them is accepted, by what is in them:"
    told = "Recorded answers in one piece, told in each client's protocol:"
    parts = [asked, _table(_requests()), accepted, _table(_features()), told, _table(_answers())]
    return "\n\n".join(parts)


def on_page() -> str:
    """What stands in the document now."""
    found = _MARKS.search(PAGE.read_text())
    assert found, "the page has a place for it"
    return found[0]


def placed() -> str:
    """The same as it should stand there."""
    return f"<!-- recorded -->\n{markdown()}\n<!-- /recorded -->"


def main() -> None:
    if "--print" in sys.argv:
        print(markdown())
    else:
        PAGE.write_text(_MARKS.sub(lambda _: placed(), PAGE.read_text()))


if __name__ == "__main__":
    main()
