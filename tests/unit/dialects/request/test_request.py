"""The strict reader: what it accepts, what it refuses, and that it never says what it read."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.anthropic.endpoint import forwarded_betas
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request
from tollgate_dialects.request.request import BadRequest

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].request
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].request
BASE = {
    OPENAI: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    ANTHROPIC: {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
}


def read(protocol=OPENAI, **changes):
    return request.read(json.dumps({**BASE[protocol], **changes}).encode(), protocol)


def refusal(body: bytes, protocol=OPENAI) -> tuple[str, str]:
    with pytest.raises(BadRequest) as caught:
        request.read(body, protocol)
    return caught.value.code.value, caught.value.param


def refused(protocol=OPENAI, **changes) -> tuple[str, str]:
    return refusal(json.dumps({**BASE[protocol], **changes}).encode(), protocol)


def test_facts_of_an_openai_call():
    """Model, stream, limit, choices and wish for usage are read as written."""
    facts = read(stream=True, n=3, max_tokens=7, stream_options={"include_usage": True})
    assert ("m", True, 7, 3, True, "5m", False) == (
        facts.model, facts.stream, facts.max_output_tokens, facts.choices, facts.wants_usage,
        facts.cache_write, facts.unbounded_input,
    )  # fmt: skip
    plain = read()
    assert (False, None, 1, False) == (
        plain.stream, plain.max_output_tokens, plain.choices, plain.wants_usage
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b'"x"', b"{", b'{"model":NaN}', b'{"a":Infinity}', b'{"a":1e999}',
        b'{"a":"\\ud800"}', b"\xef\xbb\xbf{}", b'{"a":"\xff"}', b'{"a":1} x', b'{"a":1,}',
        b'{"a":1/*c*/}', b'{"a":01}', b"{'a':1}",
    ],
)  # fmt: skip
def test_trust_9_what_is_no_strict_json_object_is_refused(body):
    """NaN, Infinity, lone surrogates, BOM, comments and bad UTF-8 never reach an upstream."""
    assert ("invalid_json", "") == refusal(body)


def test_depth_is_bounded():
    """128 levels pass, 129 do not, however brackets in strings look."""
    deep = {"model": "m", "x": "[" * 500 + '\\"{'}
    body = json.dumps(deep)[:-1] + ',"y":' + "[" * 127 + "]" * 127 + "}"
    assert "m" == request.read(body.encode(), OPENAI).model
    body = json.dumps(deep)[:-1] + ',"y":' + "[" * 128 + "]" * 128 + "}"
    assert "too_deep" == refusal(body.encode())[0]
    assert refusal(b'{"y":' + b"[" * 100_000 + b"]" * 100_000 + b"}")[0] in (
        "too_deep", "invalid_json"
    )  # fmt: skip


@pytest.mark.parametrize("part", [b"[[]],", b"{},", b"1,", b"[1],", b'{"a":"",'])
def test_a_body_of_too_many_parts_is_refused_before_it_is_parsed(part):
    """Megabytes of brackets or commas cost milliseconds; the same inside a text is just text."""
    body = b'{"model":"m","x":[' + part * 1_000_000 + b"1]}"
    assert ("too_large", "") == refusal(body)
    text = body.replace(b'"', b"'").replace(b"'x':[", b'"x":"').replace(b"1]}", b'"}')
    text = text.replace(b"'model':'m'", b'"model":"m"')
    assert "m" == request.read(text, OPENAI).model


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"a","model":"a"}', "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model"),
        (b'{"model":"a","x":1,"x":1}', "x"),
        (b'{"model":"a","<b>":1,"<b>":1}', ""),
        (b'{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}',
         "include_usage"),
    ],
)  # fmt: skip
def test_trust_9_a_key_that_occurs_twice_is_refused(body, param):
    """Two readers must not find two values; what is no plain word is not echoed."""
    assert ("duplicate_key", param) == refusal(body)


@pytest.mark.parametrize(
    "key",
    ["Model", "MODEL", "Max_Tokens", "maxTokens", "max-tokens", "\u017ftream", "\u017ftream_options",
     "N", "Service_Tier", "serviceTier", "Messages", "maxCompletionTokens", "TOOLS"],
)  # fmt: skip
def test_trust_9_a_key_that_a_looser_parser_takes_for_a_priced_one_is_refused(key):
    """Case, camelCase and letters that fold to ASCII do not hide a second value."""
    body = json.dumps({**BASE[OPENAI], key: 1}).encode()
    assert "ambiguous_key" == refusal(body)[0]
    assert ("ambiguous_key", "Include_Usage") == refused(stream_options={"Include_Usage": True})


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"model": None}, "missing_model", "model"),
        ({"model": 7}, "invalid_type", "model"),
        ({"model": ""}, "invalid_value", "model"),
        ({"model": "m" * 257}, "invalid_value", "model"),
        ({"stream": 1}, "invalid_type", "stream"),
        ({"stream": "true"}, "invalid_type", "stream"),
        ({"max_tokens": 1.5}, "invalid_type", "max_tokens"),
        ({"max_tokens": True}, "invalid_type", "max_tokens"),
        ({"max_tokens": "9"}, "invalid_type", "max_tokens"),
        ({"max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"max_tokens": -1}, "invalid_value", "max_tokens"),
        ({"max_tokens": 10**18}, "invalid_value", "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "conflicting_parameters", "max_tokens"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 10**9}, "invalid_value", "n"),
        ({"n": "2"}, "invalid_type", "n"),
        ({"stream_options": 1}, "invalid_type", "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "invalid_type", "include_usage"),
        ({"max_output_tokens": 5}, "unsupported_parameter", "max_output_tokens"),
        ({"tools": {"a": 1}}, "invalid_type", "tools"),
        ({"tools": [1]}, "invalid_type", "tools"),
        ({"messages": {"0": 1}}, "invalid_type", "messages"),
    ],
)
def test_wrong_values_are_refused_by_name(changes, code, param):
    """Each refusal names its parameter and nothing of the client's."""
    assert (code, param) == refused(**changes)


@pytest.mark.parametrize(
    ("protocol", "name", "value"),
    [
        *((OPENAI, name, {"x": 1}) for name in (
            "audio", "web_search_options", "plugins", "provider", "extra_body",
            "search_parameters", "search_settings", "search_options")),
        (OPENAI, "service_tier", "ultrafast"), (OPENAI, "service_tier", "scale"),
        (OPENAI, "service_tier", ["auto"]), (OPENAI, "service_tier", ["flex"]), (OPENAI, "modalities", ["text", "video"]),
        (OPENAI, "models", ["dearer"]), (OPENAI, "enable_search", True), (OPENAI, "best_of", 3),
        (OPENAI, "speed", "fast"), (OPENAI, "tools", [{"type": "web_search"}]),
        (OPENAI, "tools", [{"type": "function", "function": {}}, {"type": "openrouter:advisor"}]),
        *((ANTHROPIC, "tools", [{"type": kind, "name": "x"}]) for kind in (
            "web_search_20300101", "web_fetch_20300101", "code_execution_20300101", "mcp_toolset",
            "advisor_20260301", 7)),
        (ANTHROPIC, "container", "c"), (ANTHROPIC, "mcp_servers", [{"url": "x"}]),
        (ANTHROPIC, "speed", "faster"), (ANTHROPIC, "service_tier", "priority"),
        (ANTHROPIC, "inference_geo", "eu"), (ANTHROPIC, "inference_geo", ["us"]),
        (ANTHROPIC, "fallbacks", [{"model": "x"}]),
        (ANTHROPIC, "context_management", {"edits": [{"type": "compact_20260112"}]}),
        (ANTHROPIC, "n", 2), (ANTHROPIC, "max_completion_tokens", 2),
    ],
)  # fmt: skip
def test_trust_10_what_token_prices_do_not_cover_is_refused(protocol, name, value):
    """Every feature billed in another way is refused, with its name."""
    assert ("unsupported_parameter", name) == refused(protocol, **{name: value})


@pytest.mark.parametrize(
    ("protocol", "name", "value"),
    [
        (OPENAI, "service_tier", "auto"), (OPENAI, "service_tier", "default"),
        (OPENAI, "service_tier", None), (OPENAI, "modalities", ["text"]), (OPENAI, "audio", None),
        (OPENAI, "tools", [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}]),
        (OPENAI, "reasoning_effort", "high"), (OPENAI, "anything_new", {"a": [1]}),
        (ANTHROPIC, "service_tier", "standard_only"), (ANTHROPIC, "max_tokens", 0),
        (ANTHROPIC, "tools", [{"name": "f", "input_schema": {}}, {"type": "bash_20250124"}]),
        (ANTHROPIC, "context_management", {"edits": [{"type": "clear_thinking_20251015"}]}),
        (ANTHROPIC, "thinking", {"type": "enabled", "budget_tokens": 1024}),
    ],
)  # fmt: skip
def test_everything_else_passes(protocol, name, value):
    """What tokens price, and what is not known, is the upstream's to judge."""
    assert "m" == read(protocol, **{name: value}).model


def test_anthropic_needs_max_tokens():
    """The protocol requires it; so does the bound."""
    body = json.dumps({"model": "m", "messages": []}).encode()
    assert ("missing_parameter", "max_tokens") == refusal(body, ANTHROPIC)


def _user(*parts):
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("protocol", "part", "unbounded"),
    [
        (OPENAI, {"type": "text", "text": "x"}, False),
        (OPENAI, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}, False),
        (OPENAI, {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}, True),
        (OPENAI, {"type": "file", "file": {"file_id": "f"}}, True),
        (OPENAI, {"type": "video_url", "video_url": {"url": "u"}}, True),
        (ANTHROPIC, {"type": "text", "text": "x"}, False),
        (ANTHROPIC, {"type": "image", "source": {"type": "base64", "data": "AA"}}, False),
        (ANTHROPIC, {"type": "image", "source": {"type": "url", "url": "u"}}, True),
        (ANTHROPIC, {"type": "document", "source": {"type": "base64", "data": "AA"}}, True),
        (ANTHROPIC, {"type": "document", "source": {"type": "text", "data": "AA"}}, False),
        (ANTHROPIC, {"type": "tool_result", "content": [{"type": "text", "text": "x"}]}, False),
        (ANTHROPIC, {"type": "tool_result", "content": [
            {"type": "document", "source": {"type": "file", "file_id": "f"}}]}, True),
        (ANTHROPIC, {"type": "tool_result", "content": [{"type": "tool_reference"}]}, False),
        (ANTHROPIC, {"type": "something_new"}, True),
        (ANTHROPIC, {"type": "document", "source": {"type": "text", "data": "a. b."},
                     "citations": {"enabled": True}}, True),
    ],
)  # fmt: skip
def test_what_bytes_do_not_bound_is_marked(protocol, part, unbounded):
    """A URL, a stored file, a PDF or an unknown part leaves only the model's own limit."""
    assert unbounded is read(protocol, messages=_user(part)).unbounded_input


def test_the_bound_covers_bytes_images_and_normalisation():
    """Every byte is a token at most; images and characters that grow count more."""
    text = {"type": "text", "text": "x" * 1000}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert read(messages=_user(text)).input_token_bound > 1000
    assert read(messages=_user(text, image)).input_token_bound > 50_000
    growing = "\ufdfa" * 100
    for body in (
        json.dumps({**BASE[OPENAI], "messages": _user({"type": "text", "text": growing})}),
        json.dumps({**BASE[OPENAI], "x": growing}, ensure_ascii=False),
    ):
        assert request.read(body.encode(), OPENAI).input_token_bound >= 3300
    tools = [{"name": "f", "input_schema": {}}]
    assert read(ANTHROPIC, tools=tools).input_token_bound > 1_250


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m","max_tokens":1}', "none"),
        (b'{"model":"m","max_tokens":1,"system":[{"cache_control":{"type":"ephemeral"}}]}', "5m"),
        (b'{"model":"m","max_tokens":1,"x":[{"cache\\u005fcontrol":{"ttl":"\\u0031h"}}]}', "1h"),
        (b'{"model":"m","max_tokens":1,"system":"\\"cache_control\\""}', "none"),
    ],
)
def test_the_dearest_cache_write_that_may_be_billed(body, expected):
    """Cache marks are found wherever they are and however they are written."""
    assert expected == request.read(body, ANTHROPIC).cache_write


SECRET = "sk-secret-in-the-body"


@given(st.sampled_from(sorted({"model", "stream", "n", "max_tokens", "tools", "stream_options"})),
       st.sampled_from([SECRET, [SECRET], {SECRET: 1}, -1, 1.5, {}]))  # fmt: skip
def test_a_refusal_never_says_what_the_client_wrote(name, value):
    """Messages are fixed; only a parameter's name is repeated."""
    error = None
    try:
        read(**{name: value})
    except BadRequest as caught:
        error = caught
    if error:
        assert SECRET not in f"{error} {error.message} {error.param} {error.args}"
        assert error.param in (name, "")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_hostile_bytes_are_refused_and_nothing_else_happens(body):
    """Any bytes give facts or a BadRequest."""
    try:
        request.read(body, OPENAI)
    except BadRequest:
        return


def test_a_prediction_is_bounded_as_output_beyond_the_limit():
    """What of it the answer has not is billed as output: no fewer than its bytes are reserved."""
    text = "\u00e9\ufdfa" * 500
    prediction = {"type": "content", "content": [{"type": "text", "text": text}]}
    facts = read(OPENAI, prediction=prediction, max_tokens=16)
    assert facts.beyond_limit_tokens is not None
    assert facts.beyond_limit_tokens >= len(unicodedata.normalize("NFKC", text).encode())
    assert 0 == read(OPENAI, prediction=None).beyond_limit_tokens
    assert ("invalid_type", "prediction") == refused(prediction="x")
    assert ("ambiguous_key", "Prediction") == refused(Prediction=prediction)
    # Nobody says how much this model thinks: a prediction on top has no bound.
    assert ("unsupported_parameter", "prediction") == refused(
        prediction=prediction, enable_thinking=True
    )


def test_betas_that_change_a_price_are_not_forwarded():
    """A longer context is not bought by a header; fast mode's only lets the body ask for it."""
    assert (
        "claude-code-20250219,interleaved-thinking-2025-05-14,fast-mode-2026-02-01",
        ("Context-1M-2025-08-07",),
    ) == forwarded_betas(
        "claude-code-20250219, Context-1M-2025-08-07,interleaved-thinking-2025-05-14,,"
        "fast-mode-2026-02-01"
    )


def test_case_P14_an_odd_beta_is_dropped_alone():
    """40 flags are all kept; of 70 the first 64; what is malformed takes nothing else with it."""
    many = [f"flag-{number}" for number in range(70)]
    assert (",".join(many[:40]), ()) == forwarded_betas(",".join(many[:40]))
    assert (",".join(many[:64]), tuple(many[64:])) == forwarded_betas(",".join(many))
    odd = ("a b", "x" * 101, "\u00e9", "a;b")
    assert ("one,two", odd) == forwarded_betas(",".join(("one", *odd, "two", "one")))


def test_case_P6_a_thread_is_refused_in_the_words_that_the_sdk_acts_on():
    """The upstream would hold what the body does not show; the SDK then sends it all, unthreaded."""
    body = json.dumps({**BASE[ANTHROPIC], "thread": {"type": "create"}}).encode()
    with pytest.raises(BadRequest) as caught:
        request.read(body, ANTHROPIC)
    assert {"error_code": "thread_unsupported_request"} == caught.value.details
    assert "thread" == caught.value.param
