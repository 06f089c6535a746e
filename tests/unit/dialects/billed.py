"""Recorded calls with what they were billed, and what their bounds would have been."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from tests.unit.dialects import corpus
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound, request
from tollgate_dialects.tokens import calibration

APIS = {
    "openai.chat": Protocol.OPENAI_CHAT,
    "anthropic.messages": Protocol.ANTHROPIC_MESSAGES,
    "openai.responses": Protocol.OPENAI_RESPONSES,
    "gemini.generatecontent": Protocol.GEMINI,
    "gemini.streamgeneratecontent": Protocol.GEMINI,
}
_MEDIA = (
    ("fetched pictures", (b'"image_url":{"url":"http', b'"image_url":"http')),
    ("pictures", (b'"image_url":', b'"media_type":"image/', b'"mimeType":"image/', b'"mime_type":"image/')),
    ("files of text", (b'"inlineData":', b'"inline_data":')),
    ("sealed thinking", (b'"signature":', b'"encrypted_content":', b'"thoughtSignature":', b'"redacted_thinking"')),
)  # fmt: skip
# Answers that a test's author wrote: their counts are invented.
_INVENTED = ("resp_test", "resp_1234", "resp_5678")


class BilledCall(NamedTuple):
    """A call of a calibrated model that runs no tool at its vendor."""

    exchange_id: str
    protocol: Protocol
    word: str
    script: str
    # What is bounded by a rule of its own: pictures, files, thinking that only its vendor reads.
    media: str
    billed_tokens: int
    # None: the bytes do not bound it.
    byte_tokens: int | None
    close_tokens: int


def calls() -> list[BilledCall]:
    """All that the corpus has."""
    found = (_call(exchange) for exchange in corpus.exchanges(*APIS))
    return [call for call in found if call is not None]


def by_vendor(
    found: Iterable[BilledCall], *, least: int = 0
) -> dict[tuple[Protocol, str], list[float]]:
    """Close bound / bill of the calls without media, from so many tokens on."""
    ratios = defaultdict(list)
    for call in found:
        if call.billed_tokens >= least and not call.media:
            ratios[call.protocol, call.word].append(call.close_tokens / call.billed_tokens)
    return dict(ratios)


def percentile(values: list[float], percent: int) -> float:
    """The value that so many of a hundred are not above."""
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def _call(exchange: dict[str, Any]) -> BilledCall | None:
    document = exchange.get("req")
    if exchange["status"] != 200 or not isinstance(document, dict):
        return None
    answer = exchange.get("resp_text") or ""
    named = document.get("model") or exchange["url"].rpartition(":")[0]
    model = str(named).rpartition("/")[2]
    known, bill = calibration.of_model(model), _billed(answer)
    stored = document.get("previous_response_id") or any(word in answer for word in _INVENTED)
    if known is None or not bill or stored:
        return None
    protocol, body = APIS[exchange["api"]], orjson.dumps(document)
    try:
        rules = DIALECTS[protocol].request
        facts = request.read(body, rules, rules.told(model, stream=False))
    except BadRequest:
        return None
    if facts.sheds or facts.is_written_anew or facts.server_tools.readings > 1:
        return None
    close = close_bound.count(body, rules, known).of(facts)
    if close.unbounded_input:
        return None
    return BilledCall(
        exchange_id=exchange["id"],
        protocol=protocol,
        word=known.word.partition("/")[0],
        script="ASCII" if len(body) < len(body.decode()) * 1.02 else "other",
        media=next((name for name, marks in _MEDIA if any(mark in body for mark in marks)), ""),
        billed_tokens=bill,
        byte_tokens=None if facts.unbounded_input else facts.input_token_bound,
        close_tokens=close.input_token_bound,
    )


def _documents(answer: str) -> Iterable[dict[str, Any]]:
    for line in (answer, *answer.splitlines()):
        try:
            document = json.loads(line.removeprefix("data:"))
        except ValueError:
            continue
        if isinstance(document, dict):
            yield document
            if document.get("type") == "message_stop" or line is answer:
                return


def _billed(answer: str) -> int:
    """Everything that was read, cached or not."""
    usage: dict[str, Any] = {}
    for document in _documents(answer):
        for holder in (document, document.get("message"), document.get("response")):
            report = isinstance(holder, dict) and (
                holder.get("usage") or holder.get("usageMetadata")
            )
            if isinstance(report, dict):
                usage |= {name: value for name, value in report.items() if value}
    cached = ("cache_read_input_tokens", "cache_creation_input_tokens")
    return int(
        usage.get("prompt_tokens")
        or usage.get("promptTokenCount")
        or usage.get("input_tokens", 0) + sum(usage.get(name, 0) for name in cached)
    )
