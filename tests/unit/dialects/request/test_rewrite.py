"""The body splice: only what must change changes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common import members
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].request
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].request

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
OWNED = ("model", "stream", "stream_options", "max_tokens", "max_completion_tokens")
spaces = st.text(st.sampled_from(" \t\n\r"), max_size=3)


@st.composite
def bodies(draw):
    """A valid body with odd spacing, odd keys and odd order."""
    known = {"model": draw(texts.filter(bool))}
    if draw(st.booleans()):
        known["stream"] = draw(st.booleans() | st.none())
    if draw(st.booleans()):
        key = draw(st.sampled_from(["max_tokens", "max_completion_tokens"]))
        known[key] = draw(st.integers(1, 10**6) | st.none())
    if draw(st.booleans()):
        options = draw(st.dictionaries(st.sampled_from(["include_usage"]), st.booleans()))
        options |= draw(st.dictionaries(st.sampled_from(["a", "é", "\\"]), values, max_size=2))
        known["stream_options"] = draw(st.none() | st.just(options))
    other = draw(st.dictionaries(texts.filter(lambda key: key not in OWNED), values, max_size=4))
    items = draw(st.permutations([*known.items(), *other.items()]))
    ascii_only = draw(st.booleans())
    parts = [
        draw(spaces) + json.dumps(key, ensure_ascii=ascii_only) + draw(spaces) + ":" + draw(spaces)
        + json.dumps(value, ensure_ascii=ascii_only, indent=draw(st.none() | st.just(1)))
        + draw(spaces)
        for key, value in items
    ]  # fmt: skip
    return (draw(spaces) + "{" + ",".join(parts) + "}" + draw(spaces)).encode()


def rewritten(body: bytes, protocol: Protocol, model: str, limit: int | None) -> bytes:
    return rewrite.upstream_body(
        body, protocol, asked=request.read(body, protocol), model=model, max_output_tokens=limit
    )


@given(bodies(), texts.filter(bool), st.integers(1, 10**6), st.booleans())
def test_only_owned_members_change(body, model, limit, keep):
    """Values outside the owned members are equal; their bytes are the same, in the same order."""
    try:
        asked = request.read(body, OPENAI)
    except request.BadRequest:
        return
    if keep:  # what the client wrote is what is wanted
        model, limit = asked.model, asked.max_output_tokens or limit
    stream = asked.stream
    after = rewritten(body, OPENAI, model, limit)
    before_document, after_document = json.loads(body), json.loads(after)
    assert model == after_document["model"]
    assert stream is bool(after_document.get("stream"))
    limits = [after_document.get(key) for key in ("max_tokens", "max_completion_tokens")]
    assert [limit] == [value for value in limits if value is not None]
    options_before = before_document.get("stream_options") or {}
    options_after = after_document.get("stream_options") or {}
    if stream:
        assert {**options_before, "include_usage": True} == options_after
    else:
        assert options_before == options_after
    assert spans(body) == spans(after)
    request.read(after, OPENAI)


def test_an_upstream_that_refuses_include_usage_is_never_sent_it():
    """Neither ours nor the client's, wherever it stands: the member is not there, all else stays.

    Not as null either: servers that take no unknown member (pydantic's extra="forbid") refuse that.
    """
    options = b'"stream_options" : {"include_usage":true, "x":[",}"]} '
    rest = (b'"model":"m"', b' "stream": true', b'"messages":[{"role":"user","content":"a,b"}]')
    for place in range(4):
        for value in (options, b'"stream_options":null'):
            body = b"{%b}" % b" , ".join((*rest[:place], value, *rest[place:]))
            after = rewrite.upstream_body(
                body, OPENAI, asked=request.read(body, OPENAI), model="other",
                max_output_tokens=7, without_include_usage=True,
            )  # fmt: skip
            expected = {**json.loads(body), "model": "other", "max_tokens": 7}
            del expected["stream_options"]
            assert expected == json.loads(after)
            assert all(part in after for part in rest[1:])
    for untouched in (b'{"model":"m", "stream":true}', b'{"model":"m", "stream_options": {}}'):
        assert untouched == rewrite.upstream_body(
            untouched, OPENAI, asked=request.read(untouched, OPENAI), model="m",
            max_output_tokens=None, without_include_usage=True,
        )  # fmt: skip


def spans(body: bytes) -> list[bytes]:
    text = body.decode("latin-1")
    return [
        body[start:end] for key, start, _, end in members.scan(text) if key not in OWNED
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("gpt-4o", "max_tokens"), ("qwen3-max", "max_tokens"), ("demo-gpt", "max_tokens"),
        ("o1", "max_completion_tokens"), ("o4-mini", "max_completion_tokens"),
        ("gpt-5.2-chat", "max_completion_tokens"), ("openai/o3", "max_completion_tokens"),
        ("gpt-6-sol", "max_completion_tokens"), ("olmo-2", "max_tokens"), ("gpt-50x", "max_tokens"),
        ("openai/gpt-5-mini", "max_completion_tokens"), ("azure/gpt-5.1", "max_completion_tokens"),
        ("gpt-5-codex", "max_completion_tokens"), ("codex-mini-latest", "max_completion_tokens"),
        ("ft:o4-mini-2025-04-16:org::id", "max_completion_tokens"), ("marco-o1", "max_tokens"),
        ("openai/gpt-oss-120b", "max_tokens"), ("openrouter/openai/o3", "max_completion_tokens"),
    ],
)  # fmt: skip
def test_the_limit_that_a_silent_client_gets(model, key):
    """Reasoning models of OpenAI only know max_completion_tokens; the rest knows max_tokens."""
    after = rewritten(b'{"model":"x"}', OPENAI, model, 5)
    assert {"model": model, key: 5} == json.loads(after)


def test_a_body_that_needs_nothing_is_the_same_bytes():
    """Nothing to change: not one byte changes."""
    body = b' {"max_tokens":5 , "model" : "m","stream":false}\n'
    assert body == rewritten(body, ANTHROPIC, "m", 5)
    body = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'
    assert body == rewritten(body, OPENAI, "m", None)


def test_anthropic_streams_get_no_stream_options():
    """The protocol reports usage anyway."""
    after = rewritten(b'{"max_tokens":5,"model":"a","stream":true}', ANTHROPIC, "m", 9)
    assert b'{"max_tokens":9,"model":"m","stream":true}' == after


def test_case_M12_no_limit_is_written_where_none_is_asked_for():
    """None leaves the body without a limit; a null that the client wrote stays."""
    for body in (
        b'{"model":"m","stream":false}', b'{"model":"m","stream":null}',
        b'{"model":"m","max_tokens":null}',
    ):  # fmt: skip
        assert body == rewritten(body, OPENAI, "m", None)


def test_case_P5_a_limit_that_is_said_twice_is_rewritten_twice():
    """Both keys carry the same limit upstream, whatever it is."""
    body = b'{"model":"m","max_tokens":5,"max_completion_tokens":5}'
    after = rewritten(body, OPENAI, "m", 4)
    assert b'{"model":"m","max_tokens":4,"max_completion_tokens":4}' == after


def test_a_body_is_not_parsed_again(monkeypatch):
    """What is not there is put in unseen; what is there is sought no further than it stands."""
    tail = b',"messages":[{"role":"user","content":"' + b"x" * 1_000 + b'"}]}'
    body = b'{"stream":true,"model":"m"' + tail
    asked = request.read(body, OPENAI)
    seen = []
    scan = members.scan

    def watched(text, start=0, **sought):
        found = scan(text, start, **sought)
        seen.extend(found)
        return found

    monkeypatch.setattr(members, "scan", watched)
    added = b'{"max_tokens":9,"stream_options":{"include_usage":true},"stream":true,"model":"m"'
    assert added + tail == rewrite.upstream_body(
        body, OPENAI, asked=asked, model="m", max_output_tokens=9
    )
    assert [] == seen
    after = rewrite.upstream_body(body, OPENAI, asked=asked, model="n", max_output_tokens=None)
    assert after.endswith(b'"model":"n"' + tail)
    assert ["stream", "model"] == [key for key, *_ in seen]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b" { } ", b' {"model":"m" } '),
        (b'{"a":1}', b'{"model":"m","a":1}'),
        (b'{"model":"x","a":1}', b'{"model":"m","a":1}'),
    ],
)
def test_a_model_that_was_told_outside_is_put_into_the_body(body, expected):
    """Azure's clients name it in the path: the body says the same, and is still JSON."""
    rules = DIALECTS[Protocol.OPENAI_CHAT].request
    facts = request.read(body, rules, request.Told(model="m"))
    assert expected == rewrite.with_model(body, facts)
