"""How thinking is asked of each generation of models."""

import pytest

from tollgate_dialects.anthropic.translate import request_writer
from tollgate_dialects.claude import models
from tollgate_dialects.conversation.parts import (
    FunctionTool,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollgate_dialects.conversation.request import Reasoning, Request, ToolChoice, Turn
from tollgate_dialects.conversation.translation import Target

HELLO = Turn("user", (Text("hi"),))
OLD, BUDGETED, BOTH, ADAPTIVE = (
    "claude-3-5-haiku-20241022", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-8",
)  # fmt: skip


def write(reasoning, model, *, turns=(HELLO,), limit=20_000, **members):
    request = Request(model="asked", turns=turns, reasoning=reasoning, **members)
    written = request_writer.write(request, Target(model, limit))
    document = written.document
    effort = document.get("output_config", {}).get("effort", "")
    return document.get("thinking"), effort, written.dropped


def budget(tokens, **more):
    return {"type": "enabled", "budget_tokens": tokens, **more}


@pytest.mark.parametrize(
    ("asked", "model", "thinking", "effort", "dropped"),
    [
        # An effort is told to those that know of it, and is a budget to those that do not.
        (Reasoning(effort="high"), ADAPTIVE, {"type": "adaptive"}, "high", ""),
        (Reasoning(effort="minimal"), ADAPTIVE, {"type": "adaptive"}, "low", ""),
        (Reasoning(effort="xhigh"), ADAPTIVE, {"type": "adaptive"}, "xhigh", ""),
        (Reasoning(effort="xhigh"), BOTH, {"type": "adaptive"}, "high", "reasoning.effort"),
        (Reasoning(effort="low"), BUDGETED, budget(1024), "", ""),
        (Reasoning(effort="medium"), BUDGETED, budget(2048), "", ""),
        (Reasoning(effort="high"), BUDGETED, budget(4096), "", ""),
        (Reasoning(effort="max"), BUDGETED, budget(10_000), "", ""),
        (Reasoning("adaptive"), BUDGETED, budget(4096), "", ""),
        (Reasoning("on"), BOTH, {"type": "adaptive"}, "", ""),
        # A budget stays one where the model takes it, else it is the nearest effort.
        (Reasoning("on", budget_tokens=3000), BOTH, budget(3000), "", ""),
        (Reasoning("on", budget_tokens=99_999), BUDGETED, budget(19_999), "", ""),
        (Reasoning("on", budget_tokens=1), BUDGETED, budget(1024), "", ""),
        (
            Reasoning("on", budget_tokens=3000), ADAPTIVE,
            {"type": "adaptive"}, "high", "reasoning.budget_tokens",
        ),
        # None is none, where the model can.
        (Reasoning(effort="none"), ADAPTIVE, {"type": "disabled"}, "", ""),
        (Reasoning("off"), BUDGETED, {"type": "disabled"}, "", ""),
        (Reasoning("off"), OLD, None, "", ""),
        (Reasoning("off"), "claude-opus-5-5", None, "", "reasoning"),
        (Reasoning("off", "max"), "claude-opus-5", {"type": "disabled"}, "high", "reasoning.effort"),
        (Reasoning(effort="high"), OLD, None, "", "reasoning"),
        # How it is shown.
        (
            Reasoning(effort="low", summary="omitted"), ADAPTIVE,
            {"type": "adaptive", "display": "omitted"}, "low", "",
        ),
        (Reasoning(effort="low", summary="detailed"), BUDGETED, budget(1024, display="summarized"), "", ""),
        (Reasoning(summary="auto"), ADAPTIVE, None, "", "reasoning.summary"),
        (None, ADAPTIVE, None, "", ""),
    ],
)  # fmt: skip
def test_what_is_asked_is_sent(asked, model, thinking, effort, dropped):
    """Each way to ask, for each generation; what could not be is named."""
    assert (thinking, effort, {dropped} - {""}) == write(asked, model)


def test_a_budget_fits_the_limit():
    """There is no thinking where the limit leaves no room for the least of it."""
    asked = Reasoning(effort="high")
    assert (None, "", {"reasoning"}) == write(asked, BUDGETED, limit=1024)
    assert budget(1024) == write(asked, BUDGETED, limit=1025)[0]
    assert budget(2048) == write(asked, BUDGETED, limit=None)[0]


@pytest.mark.parametrize(("model", "thinks"), [(BUDGETED, False), (ADAPTIVE, True)])
def test_a_forced_tool_excludes_a_budget(model, thinks):
    """A tool that must be called comes before a budget; who decides itself can do both."""
    members = {"tools": (FunctionTool("f"),), "tool_choice": ToolChoice("required")}
    thinking, _, dropped = write(Reasoning(effort="low"), model, **members)
    assert thinks == (thinking is not None) == ("reasoning" not in dropped)


SIGNED = Thinking("t", Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "s"))
CALL, RESULT = ToolCall("c", "f", "{}"), Turn("user", (ToolResult("c", (Text("r"),)),))


@pytest.mark.parametrize(
    ("parts", "after", "model", "thinks"),
    [
        ((CALL,), (RESULT,), BUDGETED, False),
        ((Thinking("t"), CALL), (RESULT,), BUDGETED, False),
        ((SIGNED, CALL), (RESULT,), BUDGETED, True),
        ((CALL,), (RESULT,), ADAPTIVE, True),
        ((CALL,), (RESULT, Turn("assistant", (Text("x"),)), HELLO), BUDGETED, True),
        ((Text("So"),), (), BUDGETED, False),
    ],
)
def test_a_budget_wants_signed_thinking_before_calls(parts, after, model, thinks):
    """In the middle of calls without it thinking is left out, and named."""
    turns = (HELLO, Turn("assistant", parts), *after)
    thinking, _, dropped = write(Reasoning(effort="low"), model, turns=turns)
    assert thinks == (thinking is not None) == ("reasoning" not in dropped)


def test_thinking_excludes_sampling():
    """With a budget only the usual temperature is sent, and no top_k."""
    asked = Reasoning("on", budget_tokens=2000)
    request = Request(
        model="m", turns=(HELLO,), reasoning=asked, temperature=0.5, top_k=4, top_p=0.9
    )
    written = request_writer.write(request, Target(BUDGETED, 9000))
    assert not {"temperature", "top_k", "top_p"} & written.document.keys()
    assert {"temperature", "top_k", "top_p"} == written.dropped


@pytest.mark.parametrize(
    ("name", "family", "generation"),
    [
        ("claude-3-7-sonnet-20250219", "", (3, 7)),
        ("claude-3-opus-latest", "", (3, 0)),
        ("claude-sonnet-4-20250514", "sonnet", (4, 0)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "haiku", (4, 5)),
        ("anthropic/claude-opus-4.8", "opus", (4, 8)),
        ("claude-fable-5", "fable", (5, 0)),
        ("claude-opus-4-1@20250805", "opus", (4, 1)),
        ("claude-next-preview", "", (99, 0)),
        ("qwen3-max", "", (4, 0)),
    ],
)
def test_names_tell_generations(name, family, generation):
    """Family and generation, in whatever prefix and suffix a vendor puts a name."""
    assert models.Model(family, generation) == models.named(name)
