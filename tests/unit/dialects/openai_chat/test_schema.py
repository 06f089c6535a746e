"""What is written for clients of chats is what OpenAI's own description of its API says."""

import orjson
import pytest

from tests.unit.dialects import corpus
from tests.unit.dialects.conversation import across
from tests.unit.dialects.described import RECORDED, STREAMED, recorded, validators
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.openai_chat.translate.translation import TRANSLATION
from tollgate_dialects.registry import DIALECTS

WHOLE, CHUNK = "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"


@pytest.mark.parametrize(("api", "protocol"), RECORDED)
def test_whole_answers_are_as_described(api, protocol):
    """A recorded answer of any protocol is a completion that OpenAI's description allows."""
    dialect, tried = DIALECTS[protocol], 0
    for exchange in recorded(api, streamed=False):
        meter = BodyMeter(dialect.answer)
        meter.feed(exchange["resp_text"].encode())
        if body := meter.finish():
            answer = dialect.translation.read_answer(orjson.loads(body))
            document = TRANSLATION.write_answer(answer, meter.usage, across.context())
            assert [] == validators().faults(WHOLE, document), exchange["id"]
            tried += 1
    assert tried > 100


def without_nulls(chunk):
    """OpenAI sends null until it knows, which its description does not have."""
    choices = [
        {
            **{name: value for name, value in choice.items() if name != "logprobs"},
            "finish_reason": choice["finish_reason"] or "stop",
        }
        for choice in chunk["choices"]
    ]
    kept = {name: value for name, value in chunk.items() if value is not None}
    return {**kept, "choices": choices}


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize(("api", "protocol"), STREAMED)
def test_every_chunk_is_as_described(api, protocol, wants_usage):
    """So is each chunk of a recorded stream, with and without usage."""
    dialect, tried = DIALECTS[protocol], 0
    for exchange in recorded(api, streamed=True):
        try:
            stream = corpus.stream_of(protocol, exchange)
        except ValueError:
            continue  # cut off in a line, as it was published
        meter = StreamMeter(dialect.answer)
        frames = meter.feed(stream) + meter.finish()
        writer = TRANSLATION.event_writer(across.context(wants_usage=wants_usage))
        reader = dialect.translation.event_reader()
        for document in across.events(StreamTranslator(reader, writer).feed(frames, meter.usage)):
            assert [] == validators().faults(CHUNK, without_nulls(document)), exchange["id"]
        tried += 1
    assert tried > 10
