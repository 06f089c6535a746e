"""Claude Code, unmodified, on upstreams that speak chat completions or Responses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.answer import Answer, Call, Failure, Usage
from tests.e2e.clients.stage import Play, Stage

UPSTREAMS = ("gpt-5.1", "deepseek-chat", "gpt-5.2")


def command(stage: Stage, play: Play) -> list[str]:
    return [
        *stage.installed.claude, "--print", "--output-format", "json", "--model", play.model,
        "--allowedTools", "Read,Bash", "--", "What do the files say?",
    ]  # fmt: skip


def environment(stage: Stage, home: Path, play: Play) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": stage.url,
        "ANTHROPIC_AUTH_TOKEN": play.key.text,
        "CLAUDE_CONFIG_DIR": str(home / "config"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
    }


def printed(stage: Stage, home: Path, play: Play) -> dict[str, Any]:
    """What Claude Code printed at its end."""
    finished = stage.run(command(stage, play), **environment(stage, home, play))
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_claude_code_says_what_the_model_said(stage: Stage, home: Path, upstream: str):
    """A turn of text: Claude Code prints it, and counts the tokens that the receipt charges."""
    usage = Usage(read=1000, cached=500, produced=30)
    play = stage.play(upstream, Answer("They say hello.", usage=usage))
    told = printed(stage, home, play)
    assert ("They say hello.", "end_turn", False) == (
        told["result"],
        told["stop_reason"],
        told["is_error"],
    )
    counted = told["usage"]
    assert (1000, 500, 30) == (
        counted["input_tokens"],
        counted["cache_read_input_tokens"],
        counted["output_tokens"],
    )
    play.check()


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_claude_code_runs_parallel_tools(stage: Stage, home: Path, upstream: str):
    """Three calls at once, of two tools: each result comes back for its call."""
    (home / "a.txt").write_text("alpha\n")
    (home / "b.txt").write_text("beta\n")
    calls = [
        Call("call_01A", "Read", {"file_path": str(home / "a.txt")}),
        Call("call_01B", "Read", {"file_path": str(home / "b.txt")}),
        Call("call_01C", "Bash", {"command": "echo gamma-$((40+2))", "description": "Counts"}),
    ]
    play = stage.play(upstream, Answer("Let me look.", calls), Answer("alpha, beta, gamma"))
    told = printed(stage, home, play)
    assert ("alpha, beta, gamma", False) == (told["result"], told["is_error"])
    play.check()
    results = play.results()
    assert "alpha" in results["call_01A"]
    assert "beta" in results["call_01B"]
    assert "gamma-42" in results["call_01C"]


@pytest.mark.parametrize("upstream", ["deepseek-chat", "gpt-5.2"])
def test_claude_code_thinks_across_turns(stage: Stage, home: Path, upstream: str):
    """A vendor that wants its thinking back gets it, two turns of tools long."""
    call = {"command": "echo $((40+2))", "description": "Counts"}
    play = stage.play(
        upstream,
        Answer("First.", [Call("call_01A", "Bash", call)], thinking="I count once."),
        Answer("Second.", [Call("call_01B", "Bash", call)], thinking="I count twice."),
        Answer("42, both times.", thinking="They agree."),
    )
    assert "42, both times." == printed(stage, home, play)["result"]
    play.check()
    assert "I count once." == play.vendor.thinking(play.requests[1])
    assert "I count once.I count twice." == play.vendor.thinking(play.requests[2])


def test_claude_code_knows_a_prompt_that_is_too_long(stage: Stage, home: Path):
    """The vendor's refusal arrives in words by which Claude Code recovers; it costs nothing."""
    words = (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in"
        " 130001 tokens. Please reduce the length of the messages."
    )
    error = {
        "message": words, "type": "invalid_request_error", "param": "messages",
        "code": "context_length_exceeded",
    }  # fmt: skip
    play = stage.play("gpt-5.1", Failure(400, {"error": error}))
    told = printed(stage, home, play)
    assert (True, 400, "prompt_too_long") == (
        told["is_error"],
        told["api_error_status"],
        told["terminal_reason"],
    )
    assert words in told["result"]
    play.check()


def test_claude_code_tries_again_when_the_upstream_is_overloaded(stage: Stage, home: Path):
    """503 of a vendor of chats is what Claude Code retries; the second answer counts."""
    error = {"message": "The engine is overloaded", "type": "server_error", "code": None}
    play = stage.play("gpt-5.1", Failure(503, {"error": error}), Answer("There you are."))
    assert "There you are." == printed(stage, home, play)["result"]
    play.check()


@pytest.mark.parametrize("upstream", ["gpt-5.1", "gpt-5.2"])
def test_claude_code_asks_again_when_a_stream_fails(stage: Stage, home: Path, upstream: str):
    """The vendor fails in the middle: no end is told to Claude Code, which asks once more."""
    play = stage.play(upstream, Answer("Let me say", breaks=True), Answer("There you are."))
    assert "There you are." == printed(stage, home, play)["result"]
    play.check()


def test_a_killed_claude_code_pays_for_what_was_produced(stage: Stage, home: Path):
    """Killed in the stream: the answer is read to its end, and the ledger settles it."""
    play = stage.play("deepseek-chat", Answer("word " * 40, pause_s=0.05))
    stage.kill_when(lambda: play.requests, command(stage, play), **environment(stage, home, play))
    play.check()
