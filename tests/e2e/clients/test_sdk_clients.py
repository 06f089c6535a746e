"""SDKs and frameworks, unmodified: the same play for each, on an upstream of another protocol.

Each is a script that asks four times and prints what it got: a text, a text after two parallel
calls of a tool with thinking before them, a refusal, and the first words of an answer it left.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.answer import Answer, Call, Failure, Usage
from tests.e2e.clients.stage import Play, Stage

HERE = Path(__file__).parent
# For each way to speak: upstreams that speak another one.
UPSTREAMS = {
    "chat": ["claude-sonnet-4-5"],
    "responses": ["claude-sonnet-4-5", "deepseek-chat"],
    "messages": ["deepseek-chat"],
}
CLIENTS = {
    "with_openai.py": ("chat", "responses"),
    "with_openai.mjs": ("chat", "responses"),
    "with_anthropic.py": ("messages",),
    "with_anthropic.mjs": ("messages",),
    "with_ai.mjs": ("chat", "responses", "messages"),
    "with_langchain.py": ("chat", "responses", "messages"),
    "with_pydantic_ai.py": ("chat", "responses", "messages"),
    "with_litellm.py": ("chat", "messages"),
    "with_llm.py": ("chat", "messages"),
}
PARTS = [
    (script, speaks, upstream)
    for script, ways in CLIENTS.items()
    for speaks in ways
    for upstream in UPSTREAMS[speaks]
]
ENVIRONMENTS = {"with_llm.py": "clients-llm", "with_instructor.py": "clients-instructor"}
# Chats have no place of their own for sealed thinking: only a client that sends the whole message
# back sends it too.
KEEPS_ALL_OF_A_CHAT = "with_openai.py"
WORDS = "That is more than I can read."
REFUSALS = {
    "claude-sonnet-4-5": {
        "type": "error", "error": {"type": "invalid_request_error", "message": WORDS},
    },
    "deepseek-chat": {
        "error": {"message": WORDS, "type": "invalid_request_error", "param": None, "code": None},
    },
}  # fmt: skip
CALLS = (
    Call("call_01A", "weather", {"city": "Paris"}),
    Call("call_01B", "weather", {"city": "Rome"}),
)


def command(stage: Stage, script: str, speaks: str) -> list[str]:
    if script.endswith(".mjs"):
        # Node looks for packages beside the script.
        place = stage.installed.modules.parent / script
        shutil.copy(HERE / "scripts" / script, place)
        return [str(stage.installed.node), str(place), speaks]
    environment = ENVIRONMENTS.get(script, "clients")
    return [str(stage.installed.python(environment)), str(HERE / "scripts" / script), speaks]


def run(stage: Stage, script: str, speaks: str, play: Play) -> dict[str, Any]:
    """What the script printed last."""
    finished = stage.run(
        command(stage, script, speaks),
        MODEL=play.model,
        OPENAI_BASE_URL=f"{stage.url}/v1",
        OPENAI_API_KEY=play.key.text,
        ANTHROPIC_BASE_URL=stage.url,
        ANTHROPIC_API_KEY=play.key.text,
        LITELLM_LOCAL_MODEL_COST_MAP="True",  # else it asks for prices over the network
    )
    assert 0 == finished.returncode, finished.stderr[-3000:]
    printed: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return printed


@pytest.mark.parametrize(("script", "speaks", "upstream"), PARTS)
def test_a_client_plays_its_part(stage: Stage, home: Path, script: str, speaks: str, upstream: str):
    """The person gets the model's words, the model its results and thinking, the ledger its due."""
    play = stage.play(
        upstream,
        Answer("Hello there, traveller.", usage=Usage(read=70, cached=30, produced=5)),
        Answer("I ask for both.", CALLS, thinking="There are two cities."),
        Answer("It is sunny in both."),
        Failure(400, REFUSALS[upstream]),
        Answer("word " * 30, pause_s=0.02),
    )
    printed = run(stage, script, speaks, play)
    assert "Hello there, traveller." == printed["text"]
    # Some print what was said before the calls as well.
    assert printed["tools"].endswith("It is sunny in both.")
    assert WORDS in printed["refusal"]
    assert printed["cancelled"].startswith("word")
    play.check()
    told = play.requests[2]
    assert {"call_01A": "sunny in Paris", "call_01B": "sunny in Rome"} == {
        call_id: text.strip('"') for call_id, text in play.vendor.results(told).items()
    }
    keeps_thinking = speaks != "chat" or script == KEEPS_ALL_OF_A_CHAT
    assert ("There are two cities." if keeps_thinking else "") == play.vendor.thinking(told)


@pytest.mark.parametrize(
    ("speaks", "upstream"), [("chat", "claude-sonnet-4-5"), ("messages", "deepseek-chat")]
)
def test_instructor_asks_again(stage: Stage, home: Path, speaks: str, upstream: str):
    """A forced tool is forced upstream; what does not fit its schema is asked for once more."""
    wrong, right = ({"name": "Ada", "age": age} for age in ("many", 36))
    play = stage.play(
        upstream,
        Answer(calls=[Call("call_01A", "Person", wrong)]),
        Answer(calls=[Call("call_01B", "Person", right)]),
    )
    assert {"name": "Ada", "age": 36} == run(stage, "with_instructor.py", speaks, play)
    play.check()
    forced = [json.dumps(request["tool_choice"]) for request in play.requests]
    assert all("Person" in choice for choice in forced)
    assert "call_01A" in play.results()
