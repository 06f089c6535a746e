"""OpenAI's own description of its API, and recorded answers to hold against it."""

import functools
import gzip
import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.unit.dialects import corpus
from tollgate_dialects.common.protocol import Protocol

DESCRIPTION = corpus.CORPUS / "openai-openapi" / "openapi.yaml.gz"
RECORDED = (
    ("openai.chat", Protocol.OPENAI_CHAT),
    ("anthropic.messages", Protocol.ANTHROPIC_MESSAGES),
    ("openai.responses", Protocol.OPENAI_RESPONSES),
    ("gemini.generatecontent", Protocol.GEMINI),
)
# Those with recorded streams.
STREAMED = RECORDED[:3]


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


@functools.cache
def validators() -> Validators:
    """Those of the description; skips the test where there is none."""
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
