"""No two JSON readers find different members, and whatever JSON comes is read or refused."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request
from tollgate_dialects.request.request import BadRequest

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].request
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].request


def refusal(body: str, protocol=OPENAI) -> str:
    with pytest.raises(BadRequest) as caught:
        request.read(body.encode(), protocol)
    return caught.value.code.value


def with_part(part: str) -> str:
    return f'{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":[{part}]}}]}}'


IMAGE = '"image_url":{"url":"https://x.example/y.png"}'


@pytest.mark.parametrize(
    "part",
    [
        f'{{"type":"image_url",{IMAGE},"type":"text","text":"a"}}',
        '{"type":"text","text":"a","ty\\u0070e":"image_url"}',
        '{"type":"text","text":"\\u003a","type":"image_url"}',
        '{"type":"text","text":"a: b","x":{"y":[{"z":1,"z":2}]}}',
        '{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","url":"https://x"}}',
        '{"type":"text","text":"a","cache_control":{"ttl":"5m","ttl":"1h"}}',
        '{"type":"text", "text":"a", "type" : "file"}',
    ],
)
def test_case_M3_a_key_that_occurs_twice_at_any_depth_is_refused(part):
    """First-wins and last-wins readers must not see two kinds of part, two addresses, two caches."""
    for protocol in (OPENAI, ANTHROPIC):
        assert "duplicate_key" == refusal(with_part(part), protocol)


@pytest.mark.parametrize(
    "part",
    [
        f'{{"type":"text","text":"a","Type":"image_url",{IMAGE}}}',
        '{"type":"text","text":"a","TYPE":"file"}',
        '{"type":"text","text":"a","Image_URL":"u"}',
        '{"type":"text","text":"a","type\\u0000":"file"}',
        '{"type":"text","text":"a","cacheControl":{"ttl":"1h"}}',
        '{"type":"text","text":"a","cache_control":{"type":"ephemeral","TTL":"1h"}}',
        '{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","URL":"https://x"}}',
        '{"type":"image","\\u017fource":{"type":"url"},"source":{"type":"base64"}}',
        '{"type":"tool_result","content":[{"type":"text","text":"a","Type":"image"}]}',
        '{"type":"document","source":{"type":"content","content":[{"type":"text","tYpe":"x"}]}}',
        '{"type":"document","source":{"type":"text","data":"a","DATA":"b"}}',
    ],
)
def test_case_M3_a_key_that_reads_like_a_decisive_one_is_refused_in_parts(part):
    """Go, .NET and C readers fold case and cut at NUL: what they would read is not guessed."""
    for protocol in (OPENAI, ANTHROPIC):
        assert "ambiguous_key" == refusal(with_part(part), protocol)


@pytest.mark.parametrize(
    "member",
    [
        '"tools":[{"name":"f","Type":"web_search_20250305"}]',
        '"tools":[{"name":"f","cache_control":{"type":"ephemeral","Ttl":"1h"}}]',
        '"context_management":{"edits":[{"type":"clear_x","Type":"compact_20260112"}]}',
        '"cache_control":{"type":"ephemeral","\\u0054TL":"1h"}',
        '"system":[{"type":"text","text":"a","Cache_Control":{}}]',
    ],
)
def test_case_M3_tools_system_and_options_are_read_as_strictly(member):
    """Where a key bears on price beside the messages, its spelling is exact as well."""
    assert "ambiguous_key" == refusal(f'{{"model":"m","max_tokens":1,{member}}}', ANTHROPIC)


def test_case_M3_names_in_free_form_places_are_the_clients():
    """A tool's schema and input, and metadata, may have any names, as long as none stands twice."""
    schema = {"type": "object", "properties": {"Type": {"type": "string"}, "URL": {}, "type": {}}}
    tool_use = {"type": "tool_use", "id": "t", "name": "f", "input": {"Type": 1, "type": 2}}
    read = {"model": "m", "max_tokens": 9, "metadata": {"Type": "a", "type": "b"}}
    anthropic = {
        **read, "tools": [{"name": "f", "input_schema": schema}],
        "messages": [{"role": "assistant", "content": [tool_use]}],
    }  # fmt: skip
    openai = {**read, "tools": [{"type": "function", "function": {"parameters": schema}}]}
    assert "m" == request.read(json.dumps(anthropic).encode(), ANTHROPIC).model
    assert "m" == request.read(json.dumps(openai).encode(), OPENAI).model
    text = json.dumps(openai).replace('"URL": {}', '"URL": {}, "URL": {}')
    assert "duplicate_key" == refusal(text)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(width=32) | texts
KNOWN = st.sampled_from(
    ["type", "content", "text", "source", "image_url", "url", "data", "media_type", "citations",
     "enabled", "cache_control", "ttl", "audio", "role", "input_audio", "tool_calls", "edits"]
)  # fmt: skip
KINDS = st.sampled_from(
    ["text", "image_url", "input_image", "image", "document", "base64", "url", "content",
     "tool_result", "web_search_tool_result", "function", "image/png", "data:image/png;base64,AAAA"]
)  # fmt: skip
anything = st.recursive(
    scalars | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KNOWN | texts, inner, max_size=4),
    max_leaves=20,
)


def spoilt(value, where, spoil, colon=":"):
    """The JSON of `value` with one member of one object repeated as `spoil(key)`."""
    place = [where]

    def write(one):
        if isinstance(one, list):
            return "[" + ",".join(map(write, one)) + "]"
        if not isinstance(one, dict):
            return json.dumps(one)
        members = []
        for key, inner in one.items():
            members.append(json.dumps(key) + colon + write(inner))
            if place[0] == 0:
                members.append(json.dumps(spoil(key)) + colon + '"text: \u4e2d:"')
            place[0] -= 1
        return "{" + ",".join(members) + "}"

    text = write(value)
    return text if place[0] < 0 else None


@given(anything, st.integers(0, 20), st.sampled_from([":", " :\n"]))
def test_case_M3_any_key_repeated_anywhere_is_refused(value, where, colon):
    """Whatever the document, whatever the depth: two members of one name never pass."""
    document = {"model": "m", "max_tokens": 9, "x": value}
    text = spoilt(document, where, lambda key: key, colon)
    if text is None or "Infinity" in text or "NaN" in text:
        return
    assert "duplicate_key" == refusal(text)


@given(st.integers(0, 30), st.sampled_from([str.upper, str.title, lambda k: k.replace("s", "\u017f"),
                                            lambda k: k.replace("_", "-") + "\0"]))  # fmt: skip
def test_case_M3_any_decisive_key_in_another_spelling_is_refused(where, spoil):
    """The same for another spelling of a key that bears on price, at every depth where it does."""
    part = {"type": "tool_result", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text"}]},
         "citations": {"enabled": False}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}  # fmt: skip
    document = {"messages": [{"content": [part]}], "model": "m", "max_tokens": 9,
                "tools": [{"type": "custom", "cache_control": {"ttl": "5m"}}]}  # fmt: skip
    changed = []

    def other(key):
        changed.append(spoil(key) != key)
        return spoil(key)

    text = spoilt(document, where, other)
    if text is not None and changed == [True]:
        assert "ambiguous_key" == refusal(text, ANTHROPIC)


PLACES = (
    "messages", "message", "content", "part", "type", "source", "source type", "image_url", "system",
    "tools", "tool", "cache_control", "thinking", "stream_options", "context_management",
    "edit type", "functions", "n", "stop", "thread", "service_tier", "modalities", "mcp_servers",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@given(value=anything, protocol=st.sampled_from([OPENAI, ANTHROPIC]))
def test_case_P17_any_json_in_any_place_is_read_or_refused(place, value, protocol):
    """A value of a kind that nobody expects is a 400 at most, never a failure of ours."""
    wrapped = {
        "message": {"messages": [value]},
        "content": {"messages": [{"content": value}]},
        "part": {"messages": [{"content": [value]}]},
        "source": {"messages": [{"content": [{"type": "image", "source": value}]}]},
        "image_url": {"messages": [{"content": [{"type": "image_url", "image_url": value}]}]},
        "tool": {"tools": [value]},
        "type": {"messages": [{"content": [{"type": value}]}], "tools": [{"type": value}]},
        "source type": {"messages": [{"content": [{"type": "image", "source": {"type": value}}]}]},
        "edit type": {"context_management": {"edits": [{"type": value}]}},
    }.get(place, {place: value})
    body = json.dumps({"model": "m", "max_tokens": 9, **wrapped}).encode()
    try:
        request.read(body, protocol)
    except BadRequest:
        return


@pytest.mark.parametrize("kind", [[], {}, 7, True, ["text"]])
def test_case_P17_a_type_that_is_no_string_is_refused(kind):
    """In a part, a nested part, a source, a tool."""
    for protocol in (OPENAI, ANTHROPIC):
        assert "invalid_type" == refusal(with_part(json.dumps({"type": kind})), protocol)
    for part in ({"type": "image", "source": {"type": kind}},
                 {"type": "tool_result", "content": [{"type": kind}]}):  # fmt: skip
        assert "invalid_type" == refusal(with_part(json.dumps(part)), ANTHROPIC)


def test_case_P4_spellings_of_what_bears_on_no_price_pass():
    """reasoning_effort beside reasoningEffort changes neither price, model, stream nor limit."""
    for name in ("reasoningEffort", "topP", "Temperature", "toolChoice"):
        body = json.dumps({"model": "m", "reasoning_effort": "low", "top_p": 1, name: 1})
        assert "m" == request.read(body.encode(), OPENAI).model


def test_case_P5_ordinary_tiers_and_equal_limits_pass():
    """Groq's ordinary tier and a limit said twice are passed; a tier that has no factor is not."""
    for tier in ("auto", "default", "on_demand", "standard", "flex", "priority", "fast"):
        body = json.dumps({"model": "m", "service_tier": tier})
        assert "m" == request.read(body.encode(), OPENAI).model
    for tier in ("ultrafast", "scale", "performance"):
        assert "unsupported_parameter" == refusal(json.dumps({"model": "m", "service_tier": tier}))
    same = b'{"model":"m","max_tokens":5,"max_completion_tokens":5}'
    assert 5 == request.read(same, OPENAI).max_output_tokens
    assert "conflicting_parameters" == refusal(
        '{"model":"m","max_tokens":5,"max_completion_tokens":6}'
    )


MEASURE = """
import json, resource, sys
from tollgate_dialects.request import request
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
text = json.loads(sys.argv[1])
rules = DIALECTS[Protocol.OPENAI_CHAT].request
head = '{"model":"m","messages":[{"content":"'
body = (head + text * (8_000_000 // len(text.encode())) + '"}]}').encode()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
request.read(body, rules)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(body))
"""


@pytest.mark.parametrize("text", ["a", "\ufdfa", "\\ufdfa", "\\u003a:", ': \\",', "[[{"])
def test_case_B2_a_large_body_takes_little_memory(text):
    """Whatever a body is full of, reading it takes no more than three times its bytes on top."""
    words = [sys.executable, "-c", MEASURE, json.dumps(text)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(ran.stdout) <= 3
