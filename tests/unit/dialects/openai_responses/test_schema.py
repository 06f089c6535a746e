"""What is written for clients is what OpenAI's own description of its API says."""

import orjson
import pytest

from tests.unit.dialects import corpus
from tests.unit.dialects.described import RECORDED, STREAMED, recorded, validators
from tests.unit.dialects.openai_responses import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool
from tollgate_dialects.conversation.request import OutputFormat, Reasoning, Request, ToolChoice
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION
from tollgate_dialects.registry import DIALECTS

ASKED = Request(
    model="asked-model",
    turns=(),
    tools=(
        FunctionTool("plain", schema={"type": "object"}),
        FunctionTool("grouped", namespace="group"),
        FunctionTool("free", takes_text=True),
        HostedTool("web_search", {"type": "web_search"}),
    ),
    tool_choice=ToolChoice("auto", ("plain", "free")),
    reasoning=Reasoning(effort="low", summary="auto"),
    output_format=OutputFormat("json_schema", "shape", schema={"type": "object"}),
    metadata={"key": "value"},
)


@pytest.mark.parametrize(("api", "protocol"), RECORDED)
def test_whole_answers_are_as_described(api, protocol):
    """A recorded answer of any protocol is a response that OpenAI's description allows."""
    dialect, tried = DIALECTS[protocol], 0
    for exchange in recorded(api, streamed=False):
        meter = BodyMeter(dialect.answer)
        meter.feed(exchange["resp_text"].encode())
        if body := meter.finish():
            answer = dialect.translation.read_answer(orjson.loads(body))
            document = TRANSLATION.write_answer(answer, meter.usage, sdk.context(ASKED))
            assert [] == validators().faults("Response", document), exchange["id"]
            tried += 1
    assert tried > 100


@pytest.mark.parametrize(("api", "protocol"), STREAMED)
def test_every_event_is_as_described(api, protocol):
    """So is each event of a recorded stream, and they are numbered without a gap."""
    dialect, tried = DIALECTS[protocol], 0
    for exchange in recorded(api, streamed=True):
        try:
            stream = corpus.stream_of(protocol, exchange)
        except ValueError:
            continue  # cut off in a line, as it was published
        meter = StreamMeter(dialect.answer)
        frames = meter.feed(stream) + meter.finish()
        writer = TRANSLATION.event_writer(sdk.context(ASKED))
        reader = dialect.translation.event_reader()
        written = StreamTranslator(reader, writer, ASKED.tools).feed(frames, meter.usage)
        documents = sdk.frames_of(written)
        numbers = [document["sequence_number"] for document in documents]
        assert list(range(len(documents))) == numbers, exchange["id"]
        for document in documents:
            assert [] == validators().faults_of_event(document), exchange["id"]
        tried += 1
    assert tried > 30
