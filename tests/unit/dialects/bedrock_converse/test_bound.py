"""What is reserved covers what a model on Bedrock is given to read."""

import base64

import orjson
import pytest
from hypothesis import given, settings

from tests.unit.dialects import corpus
from tests.unit.dialects.bedrock_converse import aws
from tests.unit.dialects.conversation.test_bound import APIS, CHATS, FEW, facts_of
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.registry import DIALECTS

# Hidden prompts with tools on Bedrock, as measured; for each block, what stands around it.
HIDDEN = 1_250
AROUND = 8
MODELS = ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-lite-v1:0")


def readable(value) -> int:
    """Tokens at most of a document: the bytes of its texts, names and schemas, and its blocks."""
    if isinstance(value, list):
        return sum(map(readable, value))
    if not isinstance(value, dict):
        return len(value.encode()) if isinstance(value, str) else 0
    if "cachePoint" in value or "image" in value:
        return 0
    if source := value.get("source"):
        return AROUND + len(value["name"]) + len(base64.b64decode(source["bytes"]))
    tokens = AROUND
    for name, one in value.items():
        if name in ("json", "input"):
            tokens += len(orjson.dumps(one))
        elif name not in ("format", "status", "signature", "redactedContent", "role"):
            tokens += readable(one)
    return tokens


def assert_covered(document, source, model):
    facts = facts_of(document, source)
    asked = DIALECTS[source].translation.read_request(document)
    goal = Target(model, facts.max_output_tokens or 1_000)
    written = aws.TRANSLATION.write_request(asked, goal)
    if not facts.unbounded_input:
        bound = facts.translated().input_token_bound
        assert bound >= HIDDEN + readable({**written.document, "inferenceConfig": {}})
    assert facts.translated().cache_write in ("5m", "1h")
    if b'"ttl":' in orjson.dumps(written.document["messages"]):
        assert "1h" == facts.cache_write


@pytest.mark.parametrize("source", [*dict.fromkeys(APIS.values())], ids=lambda one: one.value)
def test_a_recorded_request_is_covered(source):
    """Each recorded request of a client, as a model on Bedrock reads it."""
    tried = 0
    for exchange in corpus.exchanges(*(api for api, found in APIS.items() if found is source)):
        document = exchange.get("req")
        if exchange["status"] != 200 or not isinstance(document, dict):
            continue
        for model in MODELS:
            try:
                assert_covered(document, source, model)
            except (BadRequest, Untranslatable):
                continue
            tried += 1
    assert tried > FEW.get(source, 100)


@settings(max_examples=200, deadline=None)
@given(CHATS)
def test_any_chat_is_covered(document):
    """Many short turns, calls and tools: what Converse says around them is in the bound."""
    try:
        assert_covered(document, Protocol.OPENAI_CHAT, MODELS[0])
    except (BadRequest, Untranslatable):
        return


def test_recorded_input_is_within_the_bound_of_its_request():
    """What Bedrock billed for a recorded request is within what such a request reads at most."""
    closest = 0.0
    for exchange in corpus.exchanges("bedrock.converse"):
        if exchange["status"] != 200 or not isinstance(exchange.get("req"), dict):
            continue
        document = exchange["req"]
        if not all(isinstance(one, dict) for one in document.get("system") or ()):
            continue  # the recording has letters for blocks
        if "document" in str(document) or "searchResult" in str(document):
            continue
        if "systemTool" in str(document) or "guardContent" in str(document):
            continue
        usage = orjson.loads(exchange["resp_text"])["usage"]
        billed = usage["totalTokens"] - usage["outputTokens"]
        closest = max(closest, billed / (HIDDEN + readable(document)))
        assert billed <= HIDDEN + readable(document), exchange["id"]
    print(f"closest: {closest:.2f} of the bound")
    assert closest > 0.2
