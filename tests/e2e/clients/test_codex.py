"""Codex, unmodified, on upstreams that speak another protocol than its own, Responses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.answer import Answer, Call, Failure, Usage
from tests.e2e.clients.matrix import shows
from tests.e2e.clients.stage import Play, Stage, vendor_of

UPSTREAMS = (
    "claude-sonnet-4-5", "deepseek-chat", "gemini-3-pro-preview", "bedrock-sonnet", "qwen3-max",
)  # fmt: skip
CONFIG = """
model = "{model}"
model_provider = "tollgate"

[model_providers.tollgate]
name = "tollgate"
base_url = "{url}/v1"
env_key = "TOLLGATE_KEY"
wire_api = "responses"
request_max_retries = {retries}
stream_max_retries = {retries}
"""


def command(stage: Stage, home: Path, play: Play, *, retries: int = 0) -> list[str]:
    (home / "config.toml").write_text(
        CONFIG.format(model=play.model, url=stage.url, retries=retries)
    )
    return [
        *stage.installed.codex, "exec", "--json", "--skip-git-repo-check",
        "--sandbox", "danger-full-access", "What is the answer?",
    ]  # fmt: skip


def environment(home: Path, play: Play) -> dict[str, str]:
    return {"CODEX_HOME": str(home), "TOLLGATE_KEY": play.key.text}


def events(stage: Stage, home: Path, play: Play, **more: Any) -> list[dict[str, Any]]:
    """What Codex printed, event by event."""
    finished = stage.run(command(stage, home, play, **more), **environment(home, play))
    return [json.loads(line) for line in finished.stdout.splitlines()]


def items(printed: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [
        event["item"]
        for event in printed
        if event["type"] == "item.completed" and event["item"]["type"] == kind
    ]


@shows("Codex", "Responses", UPSTREAMS, "text")
def test_codex_says_what_the_model_said(stage: Stage, home: Path, upstream: str):
    """A turn of text: Codex prints it, and counts the tokens that the receipt charges.

    Web search, which it declares in every request, is left out.
    """
    usage = Usage(read=1000, cached=500, produced=30)
    play = stage.play(upstream, Answer("The answer is 42.", usage=usage))
    printed = events(stage, home, play)
    assert ["The answer is 42."] == [item["text"] for item in items(printed, "agent_message")]
    told = printed[-1]["usage"]
    assert ("turn.completed", 1500, 500, 30) == (
        printed[-1]["type"],
        told["input_tokens"],
        told["cached_input_tokens"],
        told["output_tokens"],
    )
    play.check()
    assert '"web_search"' not in json.dumps(play.requests[0])


@shows("Codex", "Responses", UPSTREAMS, "tools in turn", "parallel tools", "thinking across turns")
def test_codex_runs_tools_and_gives_thinking_back(stage: Stage, home: Path, upstream: str):
    """Two calls of its shell at once, then one: results come back, and the thinking before each."""
    calls = [
        Call("toolu_01A", "exec_command", {"cmd": "echo one-$((40+2))"}),
        Call("toolu_01B", "exec_command", {"cmd": "echo two-$((40+3))"}),
        Call("toolu_01C", "exec_command", {"cmd": "echo three-$((40+4))"}),
    ]
    play = stage.play(
        upstream,
        Answer("Let me look.", calls[:2], thinking="It must be computed."),
        Answer(calls=calls[2:], thinking="Once more."),
        Answer("It says 42."),
    )
    printed = events(stage, home, play)
    assert ["It must be computed.", "Once more."] == [
        item["text"] for item in items(printed, "reasoning")
    ]
    assert ["one-42\n", "three-44\n", "two-43\n"] == sorted(
        item["aggregated_output"] for item in items(printed, "command_execution")
    )
    assert "It says 42." == items(printed, "agent_message")[-1]["text"]
    play.check()
    results = play.results()
    for call, text in zip(calls, ("one-42", "two-43", "three-44"), strict=True):
        assert text in results[call.call_id]
    assert "It must be computed." == play.vendor.thinking(play.requests[1])
    assert "It must be computed.Once more." == play.vendor.thinking(play.requests[2])


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_codex_calls_a_tool_in_a_namespace(stage: Stage, home: Path, upstream: str):
    """A tool of a group is declared flat upstream, and called in its group by Codex."""
    call = Call("toolu_01A", "multi_agent_v1__close_agent", {"target": "nobody"})
    play = stage.play(upstream, Answer(calls=[call]), Answer("Nobody was there."))
    printed = events(stage, home, play)
    assert ["Nobody was there."] == [item["text"] for item in items(printed, "agent_message")]
    play.check()
    assert "invalid agent id nobody" in play.results()["toolu_01A"]


def test_codex_patches_a_file(stage: Stage, home: Path):
    """A tool that takes free text is a function upstream, and free text again for Codex."""
    (home / "a.txt").write_text("alpha\nbeta\n")
    patch = "*** Begin Patch\n*** Update File: a.txt\n@@\n-beta\n+gamma\n*** End Patch"
    call = Call("toolu_01A", "apply_patch", {"input": patch})
    play = stage.play("gpt-5.5", Answer("I patch.", [call], thinking="A line."), Answer("Done."))
    printed = events(stage, home, play)
    assert "Done." == items(printed, "agent_message")[-1]["text"]
    assert "alpha\ngamma\n" == (home / "a.txt").read_text()
    play.check()
    assert "M a.txt" in play.results()["toolu_01A"]
    assert "A line." == play.vendor.thinking(play.requests[1])


def test_codex_runs_a_program_of_the_model(stage: Stage, home: Path):
    """Its newest way to work: one tool of free text in a group, whose text is a program."""
    program = "text(`it is ${40 + 2}`)"
    call = Call("toolu_01A", "functions__exec", {"input": program})
    play = stage.play("gpt-6.2-sol", Answer(calls=[call]), Answer("It says 42."))
    printed = events(stage, home, play)
    assert ["It says 42."] == [item["text"] for item in items(printed, "agent_message")]
    play.check()
    assert "it is 42" in play.results()["toolu_01A"]


def test_codex_tells_the_upstreams_refusal(stage: Stage, home: Path):
    """A refusal of the vendor reaches the person in its words, and is not charged."""
    words = "messages: at least one message is required"
    play = stage.play("claude-sonnet-4-5", Failure(400, words))
    printed = events(stage, home, play)
    assert "turn.failed" == printed[-1]["type"]
    assert words in printed[-1]["error"]["message"]
    play.check()


@shows("Codex", "Responses", UPSTREAMS, "refusals")
def test_codex_knows_a_conversation_that_is_too_long(stage: Stage, home: Path, upstream: str):
    """Whatever the vendor calls it: Codex is told by its own protocol's code, and says what to do."""
    play = stage.play(upstream, vendor_of(upstream).TOO_LONG)
    printed = events(stage, home, play)
    assert "turn.failed" == printed[-1]["type"]
    assert "context window" in printed[-1]["error"]["message"]
    play.check()


@shows("Codex", "Responses", UPSTREAMS, "a busy upstream", "a failing stream")
def test_codex_tries_again(stage: Stage, home: Path, upstream: str):
    """An upstream without time, and one that fails in the middle, whose end Codex is not told.

    It asks once more each time, and the last answer counts.
    """
    said = vendor_of(upstream).BUSY, Answer("Let me say", breaks=True), Answer("There you are.")
    play = stage.play(upstream, *said)
    printed = events(stage, home, play, retries=1)
    assert ["There you are."] == [item["text"] for item in items(printed, "agent_message")]
    assert ["Reconnecting"] == [
        event["message"].partition(".")[0] for event in printed if event["type"] == "error"
    ]
    play.check()


@shows("Codex", "Responses", UPSTREAMS, "cancelling")
def test_a_killed_codex_pays_for_what_was_produced(stage: Stage, home: Path, upstream: str):
    """Killed in the stream: the answer is read to its end, and the ledger settles it."""
    play = stage.play(upstream, Answer("word " * 40, pause_s=0.05))
    stage.kill_when(lambda: play.requests, command(stage, home, play), **environment(home, play))
    play.check()
