"""Claude Code, unmodified, on upstreams that speak another protocol than its own, messages."""

import json
from pathlib import Path
from typing import Any

from tests.e2e.clients.answer import Answer, Call, Usage
from tests.e2e.clients.matrix import shows
from tests.e2e.clients.stage import Play, Stage, vendor_of

UPSTREAMS = ("deepseek-chat", "gpt-5.2", "gemini-3-pro-preview", "bedrock-sonnet", "qwen3-max")


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


@shows("Claude Code", "messages", UPSTREAMS, "text")
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


@shows(
    "Claude Code", "messages", UPSTREAMS, "tools in turn", "parallel tools", "thinking across turns"
)
def test_claude_code_runs_tools_and_gives_thinking_back(stage: Stage, home: Path, upstream: str):
    """Three calls at once, of two tools, then one: results come back, and the thinking before."""
    (home / "a.txt").write_text("alpha\n")
    (home / "b.txt").write_text("beta\n")
    counts = {"command": "echo gamma-$((40+2))", "description": "Counts"}
    calls = [
        Call("call_01A", "Read", {"file_path": str(home / "a.txt")}),
        Call("call_01B", "Read", {"file_path": str(home / "b.txt")}),
        Call("call_01C", "Bash", counts),
        Call("call_01D", "Bash", counts | {"command": "echo delta-$((40+3))"}),
    ]
    play = stage.play(
        upstream,
        Answer("Let me look.", calls[:3], thinking="I look thrice."),
        Answer("Once more.", calls[3:], thinking="I count."),
        Answer("alpha, beta, gamma", thinking="That is all."),
    )
    told = printed(stage, home, play)
    assert ("alpha, beta, gamma", False) == (told["result"], told["is_error"])
    play.check()
    results = play.results()
    for call, text in zip(calls, ("alpha", "beta", "gamma-42", "delta-43"), strict=True):
        assert text in results[call.call_id]
    assert "I look thrice." == play.vendor.thinking(play.requests[1])
    assert "I look thrice.I count." == play.vendor.thinking(play.requests[2])


def test_claude_code_on_a_model_that_takes_no_thinking_back(stage: Stage, home: Path):
    """OpenAI's chats refuse it: the turn of tools goes on without."""
    call = Call("call_01A", "Bash", {"command": "echo $((40+2))", "description": "Counts"})
    play = stage.play("gpt-5.1", Answer("First.", [call], thinking="I count."), Answer("42."))
    assert "42." == printed(stage, home, play)["result"]
    play.check()
    assert "42" in play.results()["call_01A"]
    assert "" == play.vendor.thinking(play.requests[1])


@shows("Claude Code", "messages", UPSTREAMS, "refusals")
def test_claude_code_knows_a_prompt_that_is_too_long(stage: Stage, home: Path, upstream: str):
    """The vendor's refusal arrives in words by which Claude Code recovers; it costs nothing."""
    too_long = vendor_of(upstream).TOO_LONG
    play = stage.play(upstream, too_long)
    told = printed(stage, home, play)
    assert (True, 400, "prompt_too_long") == (
        told["is_error"],
        told["api_error_status"],
        told["terminal_reason"],
    )
    # Where it knows the vendor's words, it says its own.
    assert too_long.words in told["result"] or "Prompt is too long" in told["result"]
    play.check()


@shows("Claude Code", "messages", UPSTREAMS, "a busy upstream", "a failing stream")
def test_claude_code_tries_again(stage: Stage, home: Path, upstream: str):
    """An upstream without time, and one that fails in the middle, whose end it is not told.

    It asks once more each time, and the last answer counts.
    """
    said = vendor_of(upstream).BUSY, Answer("Let me say", breaks=True), Answer("There you are.")
    play = stage.play(upstream, *said)
    assert "There you are." == printed(stage, home, play)["result"]
    play.check()


@shows("Claude Code", "messages", UPSTREAMS, "cancelling")
def test_a_killed_claude_code_pays_for_what_was_produced(stage: Stage, home: Path, upstream: str):
    """Killed in the stream: the answer is read to its end, and the ledger settles it."""
    play = stage.play(upstream, Answer("word " * 40, pause_s=0.05))
    stage.kill_when(lambda: play.requests, command(stage, play), **environment(stage, home, play))
    play.check()
