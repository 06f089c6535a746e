"""What steers an answer of Converse: each model is told what it takes, and nothing has another price."""

import orjson
import pytest

from tests.unit.dialects.bedrock_converse.written import (
    ADAPTIVE,
    CALL,
    CALLED,
    CLAUDE,
    HELLO,
    LLAMA,
    NOVA,
    OLD,
    OSS,
    SIGNED,
    TOOL,
    write,
)
from tollgate_dialects.conversation.parts import FunctionTool, Text, Thinking, ToolResult
from tollgate_dialects.conversation.request import OutputFormat, Reasoning, Turn


def test_sampling_is_what_the_model_takes():
    """Temperatures are at most 1; each vendor has its own place for top_k."""
    sampled = {"temperature": 1.5, "top_k": 5, "stop": ("x", " ")}
    written = write(model=NOVA, **sampled)
    assert {"temperature": 1.0, "stopSequences": ["x"], "maxTokens": 1_000} == (
        written.document["inferenceConfig"]
    )
    assert {"inferenceConfig": {"topK": 5}} == written.document["additionalModelRequestFields"]
    assert {"temperature", "stop"} == written.dropped
    written = write(model=OLD, top_k=5, top_p=0.5)
    assert {"top_k": 5} == written.document["additionalModelRequestFields"]
    assert 0.5 == written.document["inferenceConfig"]["topP"]
    assert {"top_k"} == write(model=LLAMA, top_k=5).dropped
    assert {"temperature", "top_k"} == write(model=ADAPTIVE, temperature=0.2, top_k=4).dropped


def test_without_a_limit_none_is_sent():
    """The model's own is the most there is."""
    assert "inferenceConfig" not in write(limit=None).document


def test_nothing_is_sent_that_has_another_price():
    """No tier, no guardrail, nothing that only another vendor knows: all of it is named."""
    written = write(
        service_tier="flex", user="u", metadata={"a": "b"}, verbosity="low", seed=1,
        extra={"serviceTier": {"type": "priority"}, "guardrailConfig": {}},
        parallel_tool_calls=False, tools=(TOOL,),
    )  # fmt: skip
    assert {"messages", "inferenceConfig", "toolConfig"} == written.document.keys()
    assert {
        "service_tier", "user", "metadata", "verbosity", "seed", "serviceTier", "guardrailConfig",
        "parallel_tool_calls",
    } == written.dropped  # fmt: skip


@pytest.mark.parametrize(
    ("model", "asked", "members", "dropped"),
    [
        (CLAUDE, Reasoning("on", budget_tokens=2_000), {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, set()),
        (ADAPTIVE, Reasoning(effort="high"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, set()),
        (OLD, Reasoning(effort="high"), {}, {"reasoning"}),
        (OSS, Reasoning(effort="xhigh"), {"reasoning_effort": "high"}, {"reasoning.effort"}),
        (OSS, Reasoning("on", budget_tokens=900), {"reasoning_effort": "low"}, set()),
        (OSS, Reasoning("off"), {}, {"reasoning"}),
        (NOVA, Reasoning(effort="low"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}, set()),
        (NOVA, Reasoning("off"), {}, set()),
        (NOVA, Reasoning("adaptive"), {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}, set()),
        (LLAMA, Reasoning(effort="low"), {}, {"reasoning"}),
    ],
)  # fmt: skip
def test_thinking_is_asked_in_each_vendors_words(model, asked, members, dropped):
    """As recorded; what the model has no word for is named."""
    written = write(model=model, reasoning=asked, limit=20_000)
    assert members == written.document.get("additionalModelRequestFields", {})
    assert dropped == written.dropped


def test_nova_never_thinks_without_a_limit():
    """Its highest effort is only for requests without one: what they cost, nobody has reserved."""
    written = write(model=NOVA, reasoning=Reasoning(effort="max"))
    config = written.document["additionalModelRequestFields"]["reasoningConfig"]
    assert "medium" == config["maxReasoningEffort"]
    assert 1_000 == written.document["inferenceConfig"]["maxTokens"]
    assert {"reasoning.effort"} == written.dropped


def test_an_unsigned_turn_of_tools_is_not_thought_about():
    """Claude would refuse it."""
    said = (*CALLED, Turn("user", (ToolResult("c", (Text("r"),)),)))
    written = write(*said, reasoning=Reasoning("on", budget_tokens=2_000), limit=9_000)
    assert "additionalModelRequestFields" not in written.document
    assert {"reasoning"} == written.dropped
    signed = (HELLO, Turn("assistant", (Thinking("t", SIGNED), CALL)), said[-1])
    written = write(*signed, reasoning=Reasoning("on", budget_tokens=2_000), limit=9_000)
    assert "thinking" in written.document["additionalModelRequestFields"]


def test_answers_are_held_to_a_schema_where_the_model_can_be():
    """As text in Bedrock's place for it; else in words."""
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    wanted = OutputFormat("json_schema", "my answer", "d", schema)
    written = write(output_format=wanted)
    held = written.document["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert {"type": "integer"} == orjson.loads(held["schema"])["properties"]["a"]
    assert held["name"].startswith("my_answer")
    assert {"output_format.schema"} == written.dropped
    written = write(output_format=wanted, model=LLAMA)
    assert "schema" in written.document["system"][0]["text"]
    assert {"output_format"} == written.dropped
    assert {"output_format"} == write(output_format=OutputFormat("json_object")).dropped


@pytest.mark.parametrize(
    ("model", "is_held"),
    [
        ("anthropic.claude-opus-4-1-20250805-v1:0", False),
        (CLAUDE, True),
        ("us.anthropic.claude-opus-4-6-v1", True),
        # "output_config.format: Extra inputs are not permitted", Bedrock says.
        ("eu.anthropic.claude-opus-4-7", False),
        ("us.anthropic.claude-sonnet-5", False),
        ("mistral.mistral-large-3-675b-instruct", True),
        ("minimax.minimax-m2", True),
        (NOVA, False),
    ],
)
def test_whom_bedrock_holds_to_a_schema(model, is_held):
    """Not all that Anthropic does; the others are told in words, and the tools are not strict."""
    tool = FunctionTool("f", schema={"type": "object", "properties": {}}, strict=True)
    wanted = OutputFormat("json_schema", "a", schema={"type": "object", "properties": {}})
    written = write(model=model, output_format=wanted, tools=(tool,))
    assert is_held is ("outputConfig" in written.document)
    spec = written.document["toolConfig"]["tools"][0]["toolSpec"]
    assert is_held is spec.get("strict", False)
    assert (set() if is_held else {"output_format", "tools.strict"}) == written.dropped


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-v2:1",
        "anthropic.claude-instant-v1",
        "us.anthropic.claude-3-5-sonnet-20240620-v1:0",
        "anthropic.claude-3-haiku-20240307-v1:0",
    ],
)
def test_early_claudes_are_asked_little(model):
    """Neither marks nor thinking; but they sample as they are told."""
    marked = Turn("user", (Text("a", cache="5m"),))
    asked = {"reasoning": Reasoning(effort="high"), "temperature": 0.5}
    written = write(marked, model=model, **asked)
    assert {"cache", "reasoning"} == written.dropped
    assert 0.5 == written.document["inferenceConfig"]["temperature"]


def test_a_profile_is_the_model_that_its_clients_name():
    """Its ARN says nothing of what stands behind it."""
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/mi1dadi0g15f"
    marked = Turn("user", (Text("a", cache="5m"),))
    assert {"cache"} == write(marked, model=profile).dropped
    assert frozenset() == write(marked, model=profile, asked="claude-sonnet-4-5").dropped
