"""SDKs and frameworks, unmodified: the same play for each, on an upstream of another protocol.

Each is a script that for each way of speaking asks four times and prints what it got: a text, a
text after two parallel calls of a tool with thinking before them, a refusal, and the first words of
an answer that it left.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.answer import Answer, Call, Failure, Said, Usage
from tests.e2e.clients.stage import Play, Stage

HERE = Path(__file__).parent
# For each way to speak: upstreams that speak another one, each model once.
UPSTREAMS = {
    "chat": ["claude-sonnet-4-5", "gpt-5.4"],
    "responses": ["claude-opus-4-5", "deepseek-reasoner"],
    "messages": ["deepseek-chat", "gpt-5.2"],
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
ENVIRONMENTS = {"with_llm.py": "clients-llm", "with_instructor.py": "clients-instructor"}
# Chats have no place of their own for sealed thinking: only a client that sends the whole message
# back sends it too.
KEEPS_ALL_OF_A_CHAT = "with_openai.py"
WORDS = "That is more than I can read."
REFUSED = {"message": WORDS, "type": "invalid_request_error", "param": None, "code": None}
CALLS = (
    Call("call_01A", "weather", {"city": "Paris"}),
    Call("call_01B", "weather", {"city": "Rome"}),
)
# What the model says in each play.
ANSWERS: list[Said] = [
    Answer("Hello there, traveller.", usage=Usage(read=70, cached=30, produced=5)),
    Answer("I ask for both.", CALLS, thinking="There are two cities."),
    Answer("It is sunny in both."),
    Failure(400, {"type": "error", "error": REFUSED}),
    Answer("word " * 30, pause_s=0.02),
]


def run(stage: Stage, script: str, plays: list[tuple[str, Play]]) -> list[dict[str, Any]]:
    """What the script printed of each play. One process has all, for most take long to start."""
    source = HERE / "scripts" / script
    if script.endswith(".mjs"):
        # Node looks for packages beside the script.
        program = [str(stage.installed.node), str(stage.installed.modules.parent / script)]
        shutil.copy(source, program[1])
    else:
        environment = ENVIRONMENTS.get(script, "clients")
        program = [str(stage.installed.python(environment)), str(source)]
    finished = stage.run(
        [*program, *(f"{speaks}={play.model}={play.key.text}" for speaks, play in plays)],
        OPENAI_BASE_URL=f"{stage.url}/v1",
        ANTHROPIC_BASE_URL=stage.url,
        LITELLM_LOCAL_MODEL_COST_MAP="True",  # else it asks for prices over the network
    )
    assert 0 == finished.returncode, finished.stderr[-3000:]
    return [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("script", CLIENTS)
def test_a_client_plays_its_part(stage: Stage, home: Path, script: str):
    """The person gets the model's words, the model its results and thinking, the ledger its due."""
    plays = [
        (speaks, stage.play(upstream, *ANSWERS))
        for speaks in CLIENTS[script]
        for upstream in UPSTREAMS[speaks]
    ]
    for printed, (speaks, play) in zip(run(stage, script, plays), plays, strict=True):
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


def test_instructor_asks_again(stage: Stage, home: Path):
    """A forced tool is forced upstream; what does not fit its schema is asked for once more."""
    wrong, right = ({"name": "Ada", "age": age} for age in ("many", 36))
    said = [
        Answer(calls=[Call("call_01A", "Person", wrong)]),
        Answer(calls=[Call("call_01B", "Person", right)]),
    ]
    plays = [
        ("chat", stage.play("claude-sonnet-4-5", *said)),
        ("messages", stage.play("deepseek-chat", *said)),
    ]
    assert [{"name": "Ada", "age": 36}] * 2 == run(stage, "with_instructor.py", plays)
    for _, play in plays:
        play.check()
        forced = [json.dumps(request["tool_choice"]) for request in play.requests]
        assert all("Person" in choice for choice in forced)
        assert "call_01A" in play.results()
