"""Recorded traffic: real answers meter to the usage they state, real requests are accepted."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import UsageSource
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("TOLLGATE_CORPUS") or ROOT.parent / "shared" / "corpus")
EXCHANGES = CORPUS / "exchanges.jsonl.gz"
APIS = {
    "openai.chat": Protocol.OPENAI_CHAT,
    "openai.chat(mistral)": Protocol.OPENAI_CHAT,
    "openai.chat(dashscope-compat)": Protocol.OPENAI_CHAT,
    "anthropic.messages": Protocol.ANTHROPIC_MESSAGES,
}


@pytest.fixture(scope="module")
def exchanges():
    if not EXCHANGES.exists():
        pytest.skip("no recorded traffic: set TOLLGATE_CORPUS to the corpus folder")
    with gzip.open(EXCHANGES, "rt") as file:
        found = [json.loads(line) for line in file]
    return [(APIS[one["api"]], one) for one in found if one["api"] in APIS]


def stream_of(protocol, exchange) -> bytes:
    """The recorded bytes; recordings of bare events get their framing back."""
    text = exchange["resp_text"]
    if exchange["resp_ct"] != "x-chunk-lines":
        return text.encode()
    events = [
        line.removeprefix("data:").strip()
        for line in text.splitlines()
        if line.strip() and "[DONE]" not in line
    ]
    if protocol is Protocol.OPENAI_CHAT:
        return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
    return "".join(
        f"event: {json.loads(event)['type']}\ndata: {event}\n\n" for event in events
    ).encode()


def documents(raw: bytes):
    for line in raw.decode().splitlines():
        if line.startswith("data:"):
            try:
                document = json.loads(line[5:])
            except ValueError:
                continue
            if isinstance(document, dict):
                yield document


def last_message(raw: bytes) -> bytes:
    """Some recordings hold several streams one after another: the first one."""
    end = raw.find(b'"message_stop"')
    blank = raw.find(b"\n\n", end)
    return raw if -1 in (end, blank) else raw[: blank + 2]


def passed_of(protocol, raw: bytes) -> bytes:
    """What a client gets of a recorded stream: all but comments, in the same bytes.

    The end is written as it is always written, and is there when the recording left it out.
    """
    frames = [frame for frame in raw.split(b"\n\n") if frame and not frame.startswith(b":")]
    if protocol is Protocol.OPENAI_CHAT:
        frames = [frame for frame in frames if b"[DONE]" not in frame] + [b"data: [DONE]"]
    return b"".join(frame.strip() + b"\n\n" for frame in frames)


def expected(protocol, reports):
    """What the protocol's documents say, computed in the plainest way."""
    if not reports:
        return None
    if protocol is Protocol.OPENAI_CHAT:
        final = reports[-1]
        total = final.get("total_tokens") or 0
        output = max(final["completion_tokens"], total - final["prompt_tokens"])
        details = final.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or final.get("prompt_cache_hit_tokens") or 0
        cached = cached or final.get("num_cached_tokens") or 0
        written = details.get("cache_write_tokens") or 0
        whole = max(final["prompt_tokens"], 0)
        if cached + written > whole:
            whole += cached + written
        return whole, cached, written, output
    final = {}
    for report in reports:
        final |= {name: value for name, value in report.items() if value is not None}
    cached = final.get("cache_read_input_tokens") or 0
    written = final.get("cache_creation_input_tokens") or 0
    return final["input_tokens"] + cached + written, cached, written, final["output_tokens"]


def facts_of(usage):
    written = usage[Unit.CACHE_WRITE_5M] + usage[Unit.CACHE_WRITE_1H]
    return usage.total_input_tokens, usage[Unit.CACHE_READ], written, usage[Unit.OUTPUT]


def test_recorded_streams_meter_to_what_they_state(exchanges):
    """Every stream: usage as stated, bytes untouched unless stripped, at odd chunk sizes."""
    seen = Counter()
    for protocol, exchange in exchanges:
        if not exchange["stream"] or exchange["status"] != 200:
            continue
        raw = last_message(stream_of(protocol, exchange)).replace(b"\r\n", b"\n")
        raw = raw.rstrip(b"\n") + b"\n\n"
        reports = [
            report
            for document in documents(raw)
            for report in (document.get("usage"), (document.get("message") or {}).get("usage"))
            if report
        ]
        meter = StreamMeter(DIALECTS[protocol].answer, strip_usage=False)
        out = b"".join(meter.feed(raw[at : at + 97]) for at in range(0, len(raw), 97))
        out += meter.finish()
        if meter.error:
            seen["error"] += 1
            assert any(d.get("error") for d in documents(raw)), exchange["id"]
            assert passed_of(protocol, raw).startswith(out)
            continue
        assert meter.finished, exchange["id"]
        assert passed_of(protocol, raw) == out, exchange["id"]
        stated = expected(protocol, reports)
        if stated is None:
            seen["no usage"] += 1
            assert UsageSource.UPSTREAM is not meter.usage_source
            continue
        seen[protocol.name] += 1
        assert (stated, UsageSource.UPSTREAM) == (facts_of(meter.usage), meter.usage_source), (
            exchange["id"]
        )
        stripped = StreamMeter(DIALECTS[protocol].answer, strip_usage=True)
        kept = list(documents(stripped.feed(raw) + stripped.finish()))
        if protocol is Protocol.OPENAI_CHAT:
            wanted = [
                document
                for document in documents(out)
                if document.get("choices") or not document.get("usage")
            ]
            assert wanted == kept, exchange["id"]
        assert facts_of(meter.usage) == facts_of(stripped.usage)
    print(f"streams: {dict(seen)}")
    assert seen["ANTHROPIC_MESSAGES"] > 50
    assert seen["OPENAI_CHAT"] > 20


def test_recorded_bodies_meter_to_what_they_state(exchanges):
    """Every whole answer passes unchanged and is charged what it states."""
    seen = Counter()
    for protocol, exchange in exchanges:
        if exchange["stream"] or exchange["status"] != 200 or "resp_text" not in exchange:
            continue
        raw = exchange["resp_text"].encode()
        meter = BodyMeter(DIALECTS[protocol].answer)
        meter.feed(raw)
        out = meter.finish()
        document = json.loads(raw) if raw.startswith(b"{") else None
        if meter.error:
            seen["no answer"] += 1
            # An error, or none of the protocol's answers: a transcription, a skill.
            assert (
                document is None
                or document.get("error")
                or not {"choices", "content"} & {*document}
            )
            continue
        # One recording has a place holder that is no word.
        assert raw == out or b"<GOOGLE_CLOUD_LOCATION>" in raw, exchange["id"]
        stated = expected(protocol, [document["usage"]] if document.get("usage") else [])
        if stated is None:
            seen["no usage"] += 1
            continue
        seen[protocol.name] += 1
        assert (stated, "implausible") != (facts_of(meter.usage), meter.flag)
        assert stated == facts_of(meter.usage), exchange["id"]
    print(f"bodies: {dict(seen)}")
    assert seen["ANTHROPIC_MESSAGES"] > 150
    assert seen["OPENAI_CHAT"] > 150


def test_recorded_requests_are_read(exchanges):
    """Every request is accepted, or uses a feature that token prices do not cover."""
    seen = Counter()
    for protocol, exchange in exchanges:
        if not isinstance(exchange.get("req"), dict) or exchange["status"] != 200:
            continue
        body = json.dumps(exchange["req"]).encode()
        try:
            facts = request.read(body, DIALECTS[protocol].request)
        except request.BadRequest as refusal:
            code, param = refusal.code.value, refusal.param
        else:
            code, param = "accepted", "unbounded" if facts.unbounded_input else ""
            after = rewrite.upstream_body(
                body, DIALECTS[protocol].request, asked=facts, model="x",
                max_output_tokens=facts.max_output_tokens or 77,
            )  # fmt: skip
            owned = ["model", "max_tokens", "max_completion_tokens", "stream_options"]
            owned += ["tools"] if facts.server_tools.limit else []
            changed = {name: json.loads(after).get(name) for name in owned}
            assert {**exchange["req"], **changed} == {**json.loads(after), **changed}
        seen[protocol.name, code, param] += 1
        assert code in ("accepted", "unsupported_parameter"), (exchange["id"], code, param)
    for line in sorted(seen.items()):
        print(line)
    assert sum(count for (_, code, _), count in seen.items() if code == "accepted") > 350


def test_recorded_input_never_exceeds_its_bound(exchanges):
    """What an upstream billed as input for a recorded call is within the bound of its request."""
    closest = 0.0
    for protocol, exchange in exchanges:
        if not isinstance(exchange.get("req"), dict) or exchange["stream"]:
            continue
        if exchange["status"] != 200 or not exchange["resp_text"].startswith("{"):
            continue
        try:
            compact = json.dumps(exchange["req"], separators=(",", ":"), ensure_ascii=False)
            facts = request.read(compact.encode(), DIALECTS[protocol].request)
        except request.BadRequest:
            continue
        stated = expected(protocol, [u] if (u := json.loads(exchange["resp_text"]).get("usage"))
                          else [])  # fmt: skip
        # What searches bring is bounded apart: test_server_tools.py.
        if stated is None or facts.unbounded_input or facts.server_tools.readings > 1:
            continue
        closest = max(closest, stated[0] / facts.input_token_bound)
        assert stated[0] <= facts.input_token_bound, exchange["id"]
    print(f"closest: {closest:.2f} of the bound")


def test_counts_are_near_what_was_billed(exchanges):
    """Of recorded messages without files: from 200 tokens on, half within a tenth, most within a half."""
    ratios = []
    for protocol, exchange in exchanges:
        if protocol is not Protocol.ANTHROPIC_MESSAGES or exchange["stream"]:
            continue
        if exchange["status"] != 200 or not isinstance(exchange.get("req"), dict):
            continue
        compact = json.dumps(exchange["req"], separators=(",", ":"), ensure_ascii=False).encode()
        try:
            read = request.read(compact, DIALECTS[protocol].request)
        except request.BadRequest:
            continue
        usage = json.loads(exchange["resp_text"]).get("usage")
        stated = expected(protocol, [usage] if usage else [])
        if stated is None or read.unbounded_input or stated[0] < 200:
            continue
        if read.server_tools.readings > 1:
            continue
        counted = request.count(compact, DIALECTS[protocol].request)
        ratios.append(counted.input_tokens / stated[0])
    ratios.sort()
    print(f"{len(ratios)} counts, median {ratios[len(ratios) // 2]:.2f} of the truth")
    assert len(ratios) > 40
    assert 0.9 < ratios[len(ratios) // 4]
    assert ratios[len(ratios) * 3 // 4] < 1.1
    assert 0.7 < ratios[len(ratios) // 10]
    assert ratios[len(ratios) * 9 // 10] < 1.5
