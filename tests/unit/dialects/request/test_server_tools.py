"""Tools that run at the vendor: read, priced, limited, bounded and counted."""

import json
from typing import Any

import pytest

from tests.unit.dialects import corpus
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.priced import at_price, without_searches
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.request.server_tools import DEFAULT_CALLS, NO_SERVER_TOOLS

ANTHROPIC = Protocol.ANTHROPIC_MESSAGES
RESPONSES = Protocol.OPENAI_RESPONSES
BASE: dict[Protocol, dict[str, Any]] = {
    ANTHROPIC: {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": "m", "max_output_tokens": 100, "input": "Hi"},
}
SEARCH: dict[Protocol, dict[str, Any]] = {
    ANTHROPIC: {"type": "web_search_20250305", "name": "web_search"},
    RESPONSES: {"type": "web_search", "external_web_access": False},
}
# What Codex and Claude Code send beside it.
FUNCTION = {"type": "custom", "name": "f", "input_schema": {"type": "object"}}
PRICE = Price.of(
    model="m", version=1, source="seed", input_pico_usd=1_000_000, output_pico_usd=5_000_000,
    cache_read_pico_usd=100_000, cache_write_5m_pico_usd=1_250_000,
    cache_write_1h_pico_usd=2_000_000, max_input_tokens=200_000, max_output_tokens=64_000,
    web_search_pico_usd=10_000_000_000,
)  # fmt: skip
UNPRICED = Price.of(**PRICE.fields() | {"web_search_pico_usd": 0})


def body_of(protocol: Protocol, *tools: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({**BASE[protocol], "tools": list(tools), **members}).encode()


def read(protocol: Protocol, *tools: dict[str, Any], **members: Any) -> RequestFacts:
    return request.read(body_of(protocol, *tools, **members), DIALECTS[protocol].request)


def limits_of(facts: RequestFacts) -> tuple[int, int]:
    return facts.server_tools.searches, facts.server_tools.readings


def sent(protocol: Protocol, *tools: dict[str, Any], **members: Any) -> dict[str, Any]:
    """What goes upstream of a request with these tools."""
    body, rules = body_of(protocol, *tools, **members), DIALECTS[protocol].request
    asked = request.read(body, rules)
    told = rewrite.upstream_body(
        body, rules, asked=asked, model="m", max_output_tokens=asked.max_output_tokens
    )
    document: dict[str, Any] = json.loads(told)
    return document


@pytest.mark.parametrize("protocol", [ANTHROPIC, RESPONSES])
def test_a_search_runs_where_it_has_a_price(protocol):
    """Claude Code's and Codex' search of the web reach a vendor of their own protocol."""
    facts = at_price(read(protocol, FUNCTION, SEARCH[protocol]), PRICE, is_spoken=True)
    assert DEFAULT_CALLS == facts.server_tools.searches
    assert 1 + DEFAULT_CALLS == facts.server_tools.readings
    assert not facts.sheds


def test_a_search_without_a_price_is_refused_by_name_or_left_out():
    """Who sets the price, and how, stands in the refusal; Codex goes on without, as ever."""
    with pytest.raises(BadRequest) as refused:
        at_price(read(ANTHROPIC, SEARCH[ANTHROPIC]), UNPRICED, is_spoken=True)
    assert ("unsupported_parameter", "tools") == (refused.value.code.value, refused.value.param)
    assert "Web search" in refused.value.message
    assert "tollgate price set MODEL --web-search" in refused.value.message
    left = at_price(read(RESPONSES, FUNCTION, SEARCH[RESPONSES]), UNPRICED, is_spoken=True)
    assert left.sheds
    assert left.server_tools == NO_SERVER_TOOLS
    forced = read(RESPONSES, SEARCH[RESPONSES], tool_choice={"type": "web_search"})
    with pytest.raises(BadRequest, match="--web-search"):
        at_price(forced, UNPRICED, is_spoken=True)
    assert at_price(forced, PRICE, is_spoken=True).server_tools.searches


def test_a_search_that_can_be_done_without_is_left_out_where_money_is_short():
    """Codex declares one in each request: a small cap still pays for the answer."""
    facts = at_price(read(RESPONSES, FUNCTION, SEARCH[RESPONSES]), PRICE, is_spoken=True)
    less = without_searches(facts)
    assert (True, NO_SERVER_TOOLS) == (less.sheds, less.server_tools)
    assert worst_case(less, PRICE).amount_nano_usd < worst_case(facts, PRICE).amount_nano_usd
    assert without_searches(less) is less
    for needed in (
        read(ANTHROPIC, SEARCH[ANTHROPIC]),
        read(RESPONSES, SEARCH[RESPONSES], tool_choice="required"),
    ):
        assert without_searches(needed) is needed


def test_no_other_vendor_is_asked_to_search():
    """Where nobody speaks the client's protocol a search is left out, or refuses the call."""
    left = at_price(read(RESPONSES, SEARCH[RESPONSES]), PRICE, is_spoken=False)
    assert left.server_tools == NO_SERVER_TOOLS
    with pytest.raises(BadRequest):
        at_price(read(ANTHROPIC, SEARCH[ANTHROPIC]), PRICE, is_spoken=False)
    # All tools are declared there, so nothing has to be searched for.
    found = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
    assert at_price(read(ANTHROPIC, found), PRICE, is_spoken=False).server_tools == NO_SERVER_TOOLS


def test_a_search_stays_where_other_tools_are_left_out():
    """What has a price is sent beside what has none; without a price neither is."""
    other = {"type": "image_generation"}
    facts = at_price(read(RESPONSES, SEARCH[RESPONSES], other), PRICE, is_spoken=True)
    assert (True, DEFAULT_CALLS) == (facts.sheds, facts.server_tools.searches)
    document = json.loads(body_of(RESPONSES, SEARCH[RESPONSES], other))
    shed = DIALECTS[RESPONSES].request.shed
    assert shed is not None
    kept = shed(document, "gpt-5", True)
    assert ([SEARCH[RESPONSES]], {"tools.image_generation"}) == (
        kept.document["tools"], kept.dropped,
    )  # fmt: skip
    assert {"tools.image_generation", "tools.web_search"} == shed(document, "gpt-5", False).dropped
    for choice in (other, {"type": "allowed_tools", "mode": "required", "tools": [other]}):
        with pytest.raises(BadRequest):
            read(RESPONSES, SEARCH[RESPONSES], other, tool_choice=choice)
    both = read(RESPONSES, SEARCH[RESPONSES], other, tool_choice="required")
    assert both.server_tools.are_required


def test_the_limit_of_a_client_stands_and_a_missing_one_is_written():
    """The reserve is true because the vendor is told of the limit that it was made with."""
    fetch = {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": None}
    own = {**SEARCH[ANTHROPIC], "max_uses": 8}
    tools = sent(ANTHROPIC, FUNCTION, SEARCH[ANTHROPIC], fetch)["tools"]
    assert [FUNCTION, {**SEARCH[ANTHROPIC], "max_uses": 5}, {**fetch, "max_uses": 5}] == tools
    assert [own, FUNCTION] == sent(ANTHROPIC, own, FUNCTION)["tools"]
    assert 8 == read(ANTHROPIC, own).server_tools.searches
    assert 5 == sent(RESPONSES, SEARCH[RESPONSES])["max_tool_calls"]
    assert 5 == sent(RESPONSES, SEARCH[RESPONSES], max_tool_calls=None)["max_tool_calls"]
    assert 2 == sent(RESPONSES, SEARCH[RESPONSES], max_tool_calls=2)["max_tool_calls"]
    assert 2 == read(RESPONSES, SEARCH[RESPONSES], max_tool_calls=2).server_tools.searches
    assert "max_tool_calls" not in sent(RESPONSES, {"type": "tool_search"})


@pytest.mark.parametrize("limit", [0, -1, "5", 5.5, True, 10**6])
def test_a_limit_that_is_none_is_refused(limit):
    """No vendor may read another number than was reserved for."""
    with pytest.raises(BadRequest):
        read(ANTHROPIC, {**SEARCH[ANTHROPIC], "max_uses": limit})
    with pytest.raises(BadRequest):
        read(RESPONSES, SEARCH[RESPONSES], max_tool_calls=limit)
    with pytest.raises(BadRequest, match="spelling"):
        read(ANTHROPIC, {**SEARCH[ANTHROPIC], "maxUses": 5})
    with pytest.raises(BadRequest, match="spelling"):
        read(RESPONSES, SEARCH[RESPONSES], maxToolCalls=5)


def test_the_vendors_own_loop_bounds_what_no_limit_does():
    """After ten turns Anthropic pauses; newer searches run code in turns that nobody counts."""
    many = read(ANTHROPIC, {**SEARCH[ANTHROPIC], "max_uses": 50}).server_tools
    assert (50, 10) == (many.searches, many.readings)
    filtering = {"type": "web_search_20260209", "name": "web_search", "max_uses": 1}
    newer = read(ANTHROPIC, filtering).server_tools
    assert (1, 10) == (newer.searches, newer.readings)


CODE = {"type": "code_execution_20250825", "name": "code_execution"}


def test_code_runs_in_a_container_that_has_a_price():
    """One container, as many turns as the vendor's loop has; free beside tools that filter."""
    facts = read(ANTHROPIC, CODE)
    assert (1, 10) == (facts.server_tools.containers, facts.server_tools.readings)
    with pytest.raises(BadRequest, match="price set MODEL --container DOLLARS"):
        at_price(facts, PRICE, is_spoken=True)
    priced = Price.of(**PRICE.fields() | {"container_pico_usd": 50_000_000_000})
    assert at_price(facts, priced, is_spoken=True) is facts
    with pytest.raises(BadRequest):
        at_price(facts, priced, is_spoken=False)
    worst = worst_case(facts, priced).amount_nano_usd
    assert worst_case(facts, PRICE).amount_nano_usd + 50_000_000 == worst
    newer = {"type": "web_fetch_20260209", "name": "web_fetch"}
    assert 0 == read(ANTHROPIC, CODE, newer).server_tools.containers
    assert 1 == read(ANTHROPIC, CODE, SEARCH[ANTHROPIC]).server_tools.containers


@pytest.mark.parametrize(
    ("tool", "members", "param"),
    [
        (CODE, {"container": "container_1"}, "container"), (CODE, {"container": {}}, "container"),
        ({**CODE, "memory": "64g"}, {}, "tools"), ({**CODE, "type": "code_execution_2"}, {}, "tools"),
        (CODE, {"messages": [{"role": "user", "content": [
            {"type": "container_upload", "file_id": "file_1"}]}]}, "messages"),
    ],
)  # fmt: skip
def test_nobody_elses_container_or_file_is_asked_for(tool, members, param):
    """Clients share an account, in which both are known by an id alone."""
    with pytest.raises(BadRequest) as refused:
        read(ANTHROPIC, tool, **members)
    assert param == refused.value.param


def test_a_container_is_counted_where_the_answer_tells_of_one():
    """In a message, and at the end of a stream; none that was not needed."""
    tokens = {"input_tokens": 5, "output_tokens": 7}
    message: dict[str, Any] = {"type": "message", "content": [], "usage": tokens}
    told = {"id": "container_1", "expires_at": "2026-11-27T00:00:00Z"}
    for container, sessions in ((told, 1), (None, 0)):
        whole = usage_of(ANTHROPIC, {**message, "container": container})
        assert sessions == whole.usage[Unit.CONTAINER]
        delta = {"stop_reason": "end_turn", "container": container}
        events = StreamMeter(DIALECTS[ANTHROPIC].answer)
        for event in (
            {"type": "message_start", "message": message},
            {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}},
        ):  # fmt: skip
            events.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        assert sessions == events.usage[Unit.CONTAINER]


def test_a_search_for_tools_reads_the_request_once_more():
    """It has no price of its own; a client that searches itself causes no second reading."""
    found = {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}
    assert (0, 2) == limits_of(read(ANTHROPIC, found))
    assert (0, 2) == limits_of(read(RESPONSES, {"type": "tool_search"}))
    client = {"type": "tool_search", "execution": "client"}
    assert NO_SERVER_TOOLS == read(RESPONSES, client).server_tools
    assert not read(RESPONSES, client).sheds
    assert at_price(read(ANTHROPIC, found), UNPRICED, is_spoken=True).server_tools.readings == 2


def test_a_reference_to_a_tool_counts_as_the_tool():
    """A few bytes of a conversation stand for a whole definition, as often as they are there."""
    big = {"name": "f", "description": "x" * 5_000, "input_schema": {}, "defer_loading": True}
    reference = {"type": "tool_reference", "tool_name": "f"}
    found = {"type": "tool_search_tool_search_result", "tool_references": [reference] * 3}
    result = {"type": "tool_search_tool_result", "tool_use_id": "t", "content": found}
    messages = [{"role": "assistant", "content": [result]}, *BASE[ANTHROPIC]["messages"]]
    facts = read(ANTHROPIC, big, messages=messages)
    assert not facts.unbounded_input
    assert facts.input_token_bound > 4 * 5_000


def usage_of(protocol: Protocol, document: dict[str, Any]):
    meter = BodyMeter(DIALECTS[protocol].answer)
    meter.feed(json.dumps(document).encode())
    assert meter.finish()
    return meter


def test_searches_are_counted_as_the_vendor_tells_them():
    """In Anthropic's report, in OpenAI's of tools; else every search among what was done."""
    message = {"type": "message", "content": [], "usage": {
        "input_tokens": 5, "output_tokens": 7, "server_tool_use": {"web_search_requests": 3}}}  # fmt: skip
    assert 3 == usage_of(ANTHROPIC, message).usage[Unit.WEB_SEARCH]
    search = {"type": "web_search_call", "action": {"type": "search"}}
    others = [{**search, "action": kind} for kind in ({"type": "open_page"}, None)]
    response = {"object": "response", "status": "completed", "output": [search, *others, search],
                "usage": {"input_tokens": 5, "output_tokens": 7}}  # fmt: skip
    assert 2 == usage_of(RESPONSES, response).usage[Unit.WEB_SEARCH]
    told = {**response, "tool_usage": {"web_search": {"num_requests": 4}}}
    assert 4 == usage_of(RESPONSES, told).usage[Unit.WEB_SEARCH]
    absurd = {**response, "tool_usage": {"web_search": {"num_requests": -1}}}
    assert "implausible" == usage_of(RESPONSES, absurd).flag


def test_recorded_searches_stay_within_their_bound():
    """For each recorded call with tools at the vendor, what was billed is what was reserved for."""
    seen = 0
    for protocol, api in ((ANTHROPIC, "anthropic.messages"), (RESPONSES, "openai.responses")):
        rules = DIALECTS[protocol]
        for exchange in corpus.exchanges(api):
            if exchange["status"] != 200 or not isinstance(exchange.get("req"), dict):
                continue
            asked = exchange["req"]
            body = json.dumps(asked).encode()
            try:
                facts = at_price(request.read(body, rules.request), PRICE, is_spoken=True)
            except BadRequest:
                continue
            if facts.server_tools == NO_SERVER_TOOLS:
                continue
            if asked.get("stream"):
                meter: StreamMeter | BodyMeter = StreamMeter(rules.answer)
                meter.feed(corpus.stream_of(protocol, exchange))
            else:
                meter = BodyMeter(rules.answer)
                meter.feed(exchange["resp_text"].encode())
            meter.finish()
            if meter.has_final_usage:
                seen += 1
                worst = worst_case(facts, PRICE)
                assert meter.usage.total_input_tokens <= worst.input_tokens
                assert cost_nano_usd(meter.usage, PRICE) <= worst.amount_nano_usd
    assert seen > 30
