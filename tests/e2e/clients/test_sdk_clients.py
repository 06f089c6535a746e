"""SDKs and frameworks, unmodified: the same play for each, on an upstream of another protocol.

Each is a script that asks four times and prints what it got: a text, a text after two parallel
calls of a tool with thinking before them, a refusal, and the first words of an answer it left.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.clients.answer import Answer, Call, Failure, Usage
from tests.e2e.clients.stage import Stage

HERE = Path(__file__).parent
# For each way to speak: an upstream that speaks another one.
UPSTREAMS = {
    "chat": "claude-sonnet-4-5", "responses": "claude-sonnet-4-5", "messages": "deepseek-chat",
}  # fmt: skip
CLIENTS = [
    ("with_openai.mjs", "chat"),
    ("with_openai.mjs", "responses"),
    ("with_anthropic.mjs", "messages"),
    ("with_ai.mjs", "chat"),
    ("with_ai.mjs", "responses"),
    ("with_ai.mjs", "messages"),
]
ENVIRONMENTS = {"with_llm.py": "clients-llm", "with_instructor.py": "clients-instructor"}
# Clients that have no place for thinking in what they send back.
FORGETFUL: set[tuple[str, str]] = set()
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


@pytest.mark.parametrize(("script", "speaks"), CLIENTS)
def test_a_client_plays_its_part(stage: Stage, home: Path, script: str, speaks: str):
    """The person gets the model's words, the model its results and thinking, the ledger its due."""
    upstream = UPSTREAMS[speaks]
    play = stage.play(
        upstream,
        Answer("Hello there, traveller.", usage=Usage(read=70, cached=30, produced=5)),
        Answer("I ask for both.", CALLS, thinking="There are two cities."),
        Answer("It is sunny in both."),
        Failure(400, REFUSALS[upstream]),
        Answer("word " * 30, pause_s=0.02),
    )
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
    printed = json.loads(finished.stdout.splitlines()[-1])
    assert ("Hello there, traveller.", "It is sunny in both.") == (
        printed["text"],
        printed["tools"],
    )
    assert WORDS in printed["refusal"]
    assert printed["cancelled"].startswith("word")
    play.check()
    told = play.requests[2]
    assert {"call_01A": "sunny in Paris", "call_01B": "sunny in Rome"} == {
        call_id: text.strip('"') for call_id, text in play.vendor.results(told).items()
    }
    if (script, speaks) not in FORGETFUL:
        assert "There are two cities." == play.vendor.thinking(told)
