"""What is reserved covers a request in whatever protocol its upstream reads it."""

import itertools

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects import corpus
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.conversation.translation import Target, Untranslatable
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request

APIS = {
    "openai.chat": Protocol.OPENAI_CHAT,
    "openai.chat(mistral)": Protocol.OPENAI_CHAT,
    "anthropic.messages": Protocol.ANTHROPIC_MESSAGES,
    "openai.responses": Protocol.OPENAI_RESPONSES,
    "gemini.generatecontent": Protocol.GEMINI,
    "gemini.streamgeneratecontent": Protocol.GEMINI,
    "dashscope.aigc.text-generation.generation": Protocol.DASHSCOPE,
    "dashscope.aigc.multimodal-generation.generation": Protocol.DASHSCOPE,
}
MODELS = {
    Protocol.OPENAI_CHAT: "gpt-4o",
    Protocol.ANTHROPIC_MESSAGES: "claude-sonnet-4-5",
    Protocol.OPENAI_RESPONSES: "gpt-5",
    Protocol.GEMINI: "gemini-3-pro",
    Protocol.DASHSCOPE: "qwen3-vl-plus",
}
# There are fewer recordings of some.
FEW = {Protocol.DASHSCOPE: 15}
PAIRS = list(itertools.permutations(MODELS, 2))


def written_for(document, source, target):
    """The facts of a request, and those of what an upstream of another protocol is sent."""
    facts = facts_of(document, source)
    asked = DIALECTS[source].translation.read_request(document)
    goal = Target(MODELS[target], facts.max_output_tokens or 1_000)
    written = DIALECTS[target].translation.write_request(asked, goal)
    return facts, facts_of(written.document, target)


def facts_of(document, protocol):
    rules = DIALECTS[protocol].request
    return request.read(orjson.dumps(document), rules, rules.told("m", stream=False))


def assert_covered(facts, sent):
    assert facts.translated().input_token_bound >= sent.input_token_bound
    assert facts.unbounded_input or not sent.unbounded_input
    assert facts.choices == sent.choices


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda protocol: protocol.value)
def test_a_recorded_request_is_covered(source, target):
    """No translation makes an upstream read more than the bound, or something without one."""
    tried = 0
    for exchange in corpus.exchanges(*(api for api, found in APIS.items() if found is source)):
        document = exchange.get("req")
        if exchange["status"] != 200 or not isinstance(document, dict):
            continue
        try:
            facts, sent = written_for(document, source, target)
        except (BadRequest, Untranslatable):
            continue
        assert_covered(facts, sent)
        tried += 1
    assert tried > FEW.get(source, 100)


WORDS = st.text(max_size=40)
NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
TOOL = st.builds(
    lambda name, words: {
        "type": "function",
        "function": {"name": name, "description": words, "parameters": {"type": "object"}},
    },
    NAMES,
    WORDS,
)
CALL = st.builds(
    lambda name, words: {
        "id": f"c_{name}",
        "type": "function",
        "function": {"name": name, "arguments": orjson.dumps({"a": words}).decode()},
    },
    NAMES,
    WORDS,
)
CHATS = st.builds(
    lambda turns, tools: {"model": "m", "max_tokens": 9, "messages": turns, "tools": tools},
    st.lists(
        st.builds(
            lambda role, words: {"role": role, "content": words},
            st.sampled_from(("system", "user", "assistant", "developer")),
            WORDS,
        )
        | st.builds(
            lambda calls: {"role": "assistant", "content": None, "tool_calls": calls},
            st.lists(CALL, min_size=1, max_size=3),
        )
        | st.builds(lambda words: {"role": "tool", "tool_call_id": "c_a", "content": words}, WORDS),
        min_size=1,
        max_size=6,
    ),
    st.lists(TOOL, max_size=4, unique_by=lambda tool: tool["function"]["name"]),
)


@given(CHATS)
def test_any_chat_is_covered(document):
    """Many short turns, calls and tools: what another protocol says around them is in the bound."""
    for target in MODELS:
        if target is not Protocol.OPENAI_CHAT:
            try:
                assert_covered(*written_for(document, Protocol.OPENAI_CHAT, target))
            except (BadRequest, Untranslatable):
                continue


def test_a_picture_counts_by_the_dearest_rule():
    """A message's picture costs an upstream of chats more than one of messages."""
    pixels = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    source = {"type": "base64", "media_type": "image/png", "data": pixels}
    document = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}],
    }
    facts, sent = written_for(document, Protocol.ANTHROPIC_MESSAGES, Protocol.OPENAI_CHAT)
    assert facts.input_token_bound < sent.input_token_bound
    assert_covered(facts, sent)
