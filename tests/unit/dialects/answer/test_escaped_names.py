"""Members' names that an upstream writes in escapes: to all who look into bytes they are plain."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.conversation import across
from tollgate_dialects.answer import upstream_error
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.answer.renaming import Renaming
from tollgate_dialects.answer.template import Shapes
from tollgate_dialects.common import documents, members, sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.parts import ToolCall
from tollgate_dialects.conversation.translation import Target
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, rewrite

PROTOCOLS = (
    Protocol.OPENAI_CHAT, Protocol.OPENAI_RESPONSES, Protocol.ANTHROPIC_MESSAGES,
    Protocol.GEMINI, Protocol.DASHSCOPE,
)  # fmt: skip
ANSWER = across.answered('say "model": <b>', ToolCall("call_1", "f", '{"model":"m"}'))
NAME = re.compile(rb'"([A-Za-z_]+)":')


def escaped(raw, at=-1):
    """The same JSON with one letter of each name as an escape."""

    def write(found):
        name = found[1]
        place = at % len(name)
        return b'"%b\\u%04x%b":' % (name[:place], name[place], name[place + 1 :])

    return NAME.sub(write, raw)


def metered(protocol, raw, shapes=None):
    meter = StreamMeter(DIALECTS[protocol].answer, shapes=shapes)
    return meter.feed(raw) + meter.finish(), meter


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(at=st.integers(0, 30))
def test_attack_E20_a_stream_is_what_it_is_with_plain_names(protocol, at):
    """Byte for byte: what is counted, renamed and held back, learnt shapes or none."""
    plain = across.frames(protocol, ANSWER)
    expected, known = metered(protocol, plain)
    out, meter = metered(protocol, escaped(plain, at))
    assert (expected, known.usage) == (out, meter.usage)
    assert known._produced_bytes == meter._produced_bytes > 0
    shapes = Shapes()
    for raw in (plain, escaped(plain, at), escaped(plain, at)):
        assert expected == metered(protocol, raw, shapes)[0]
    if DIALECTS[protocol].answer.end.waits:
        assert sse.end_of(out, DIALECTS[protocol].answer.end) >= 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(at=st.integers(0, 30))
def test_attack_E20_a_body_tells_the_clients_name_of_the_model(protocol, at):
    """The upstream's own name is nowhere in what passes."""
    rules = DIALECTS[protocol].answer
    answer = DIALECTS[protocol].translation.write_answer(
        ANSWER, NOTHING, across.context(model="UP")
    )
    if protocol is Protocol.DASHSCOPE:
        answer["output"]["model_name"] = "UP"
    plain = documents.written(answer)
    assert b"UP" in plain
    meter = BodyMeter(rules)
    meter.feed(escaped(plain, at))
    out = Renaming(rules.model_at, "fast").body(meter.finish())
    assert json.loads(out) == json.loads(plain.replace(b"UP", b"fast"))


@pytest.mark.parametrize("text", [b"\\u003cb>", b"a\\u0022:b", b"\\\\u0041", b"\\u00e9"])
def test_escapes_in_texts_stay_as_they_came(text):
    """What Go's and PHP's writers escape passes byte for byte."""
    raw = b'{"choices":[{"index":0,"message":{"content":"%b","name" :"b"}}]}' % text
    assert not members.are_names_escaped(raw)
    meter = BodyMeter(DIALECTS[Protocol.OPENAI_CHAT].answer)
    meter.feed(raw)
    assert raw == meter.finish()


def test_an_error_is_read_however_its_names_are_written():
    """Words, code and the time to wait are those of the plain document."""
    said = {"error": {"code": "c", "message": "too long", "param": "p", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}]}}  # fmt: skip
    raw = escaped(json.dumps(said, separators=(",", ":")).encode())
    assert ("too long", "c", "p") == upstream_error.describe(429, raw, {}, ("code",))
    assert 3_000 == upstream_error.retry_after_ms({}, raw, now_unix_ms=0)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(at=st.integers(0, 30))
def test_a_request_is_read_and_rewritten_alike(protocol, at):
    """Model, limit and what goes up are those of the plain request."""
    dialect = DIALECTS[protocol]
    asked = across.context(max_output_tokens=99, stream=False).request
    plain = documents.written(dialect.translation.write_request(asked, Target("m", 99)).document)
    told = dialect.request.told("m", stream=False)
    sent, found = [], []
    for body in (plain, escaped(plain, at)):
        facts = request.read(body, dialect.request, told)
        # Bounds count the bytes as they are written.
        bounds = ("input_token_bound", "translated_token_bound", "kept_token_bound")
        found.append(facts._replace(**dict.fromkeys(bounds, 0)))
        up = rewrite.upstream_body(
            body, dialect.request, asked=facts, model="up", max_output_tokens=44
        )
        sent.append(json.loads(up))
    assert (found[0], sent[0]) == (found[1], sent[1])
    assert '"m"' not in json.dumps(sent[1])
