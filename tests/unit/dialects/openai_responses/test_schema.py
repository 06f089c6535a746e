"""What is written for clients is what OpenAI's own description of its API says."""

import gzip
import json
from typing import Any

import orjson
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.unit.dialects import corpus
from tests.unit.dialects.openai_responses import sdk
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.conversation.parts import FunctionTool, HostedTool
from tollgate_dialects.conversation.request import OutputFormat, Reasoning, Request, ToolChoice
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.openai_responses.translate.translation import TRANSLATION
from tollgate_dialects.registry import DIALECTS

DESCRIPTION = corpus.CORPUS / "openai-openapi" / "openapi.yaml.gz"
RECORDED = (
    ("openai.chat", Protocol.OPENAI_CHAT),
    ("anthropic.messages", Protocol.ANTHROPIC_MESSAGES),
    ("openai.responses", Protocol.OPENAI_RESPONSES),
)
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


class Validators:
    """OpenAI's schemas, each compiled when it is first asked for."""

    def __init__(self, described: dict[str, Any]) -> None:
        schemas = described["components"]["schemas"]
        resource = Resource.from_contents(described, default_specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:openai", resource)
        self._by_name: dict[str, Draft202012Validator] = {}
        self._events = {}
        for reference in schemas["ResponseStreamEvent"]["anyOf"]:
            name = reference["$ref"].rpartition("/")[2]
            self._events[schemas[name]["properties"]["type"]["enum"][0]] = name

    def faults(self, name: str, document: dict[str, Any]) -> list[str]:
        if name not in self._by_name:
            whole = {"$ref": f"urn:openai#/components/schemas/{name}"}
            self._by_name[name] = Draft202012Validator(whole, registry=self._registry)
        return [error.message for error in self._by_name[name].iter_errors(document)]

    def faults_of_event(self, document: dict[str, Any]) -> list[str]:
        response = document.get("response")
        if response and response["usage"] is None:
            # OpenAI sends null until it knows, which its description does not have.
            response = {name: value for name, value in response.items() if name != "usage"}
            document = {**document, "response": response}
        return self.faults(self._events[document["type"]], document)


@pytest.fixture(scope="module")
def validators() -> Validators:
    if not DESCRIPTION.exists():
        pytest.skip("no description of OpenAI's API: set TOLLGATE_CORPUS to the corpus folder")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    described = yaml.load(gzip.decompress(DESCRIPTION.read_bytes()), Loader=loader)
    # Dates become texts.
    return Validators(json.loads(json.dumps(described, default=str)))


def recorded(api: str, *, streamed: bool) -> list[dict[str, Any]]:
    kinds = ("text/event-stream", "x-chunk-lines")
    return [
        one
        for one in corpus.exchanges(api)
        if one["status"] == 200
        and one.get("resp_text")
        and any(kind in (one["resp_ct"] or "") for kind in kinds) is streamed
    ]


@pytest.mark.parametrize(("api", "protocol"), RECORDED)
def test_whole_answers_are_as_described(api, protocol, validators):
    """A recorded answer of any protocol is a response that OpenAI's description allows."""
    dialect, tried = DIALECTS[protocol], 0
    for exchange in recorded(api, streamed=False):
        meter = BodyMeter(dialect.answer)
        meter.feed(exchange["resp_text"].encode())
        if body := meter.finish():
            answer = dialect.translation.read_answer(orjson.loads(body))
            document = TRANSLATION.write_answer(answer, meter.usage, sdk.context(ASKED))
            assert [] == validators.faults("Response", document), exchange["id"]
            tried += 1
    assert tried > 100


@pytest.mark.parametrize(("api", "protocol"), RECORDED)
def test_every_event_is_as_described(api, protocol, validators):
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
            assert [] == validators.faults_of_event(document), exchange["id"]
        tried += 1
    assert tried > 30
