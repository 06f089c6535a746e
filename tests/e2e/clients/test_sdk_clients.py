"""SDKs and frameworks, unmodified: the same play for each, on an upstream of another protocol.

Each is a script that for each way of speaking asks five times and prints what it got: a text in a
stream and one in a piece, a text after two parallel calls of a tool and one more with thinking
before them, a refusal, and the first words of an answer that it left.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import dashscope, gemini
from tests.e2e.clients.answer import Answer, Call, Failure, Said, Usage
from tests.e2e.clients.matrix import note
from tests.e2e.clients.stage import Play, Stage, vendor_of

HERE = Path(__file__).parent
# For each way to speak: upstreams that speak another one, each model once.
UPSTREAMS = {
    "chat": ["claude-sonnet-4-5", "gpt-5.4", "gemini-3.1-pro-preview", "bedrock-sonnet", "qwen3-max"],
    "responses": [
        "claude-opus-4-5", "deepseek-reasoner", "gemini-3-pro-preview", "bedrock-opus", "qwen-plus",
    ],
    "messages": [
        "deepseek-chat", "gpt-5.2", "gemini-3-flash-preview", "bedrock-haiku", "qwen3.5-plus",
    ],
    "gemini": ["deepseek-chat", "gpt-5.2", "claude-sonnet-4-5", "bedrock-sonnet", "qwen3-max"],
    "dashscope": [
        "deepseek-chat", "gpt-5.2", "claude-sonnet-4-5", "bedrock-sonnet", "gemini-3-pro-preview",
    ],
}  # fmt: skip
CLIENTS = {
    "with_openai.py": ("chat", "responses"),
    "with_openai.mjs": ("chat", "responses"),
    "with_anthropic.py": ("messages",),
    "with_anthropic.mjs": ("messages",),
    "with_genai.py": ("gemini",),
    "with_dashscope.py": ("dashscope",),
    "with_ai.mjs": ("chat", "responses", "messages"),
    "with_langchain.py": ("chat", "responses", "messages"),
    "with_pydantic_ai.py": ("chat", "responses", "messages"),
    "with_litellm.py": ("chat", "messages"),
    "with_llm.py": ("chat", "messages"),
}
NAMES = {
    "with_openai.py": "openai (Python)",
    "with_openai.mjs": "openai (Node)",
    "with_anthropic.py": "anthropic (Python)",
    "with_anthropic.mjs": "anthropic (Node)",
    "with_genai.py": "google-genai",
    "with_dashscope.py": "dashscope",
    "with_ai.mjs": "Vercel AI SDK",
    "with_langchain.py": "LangChain",
    "with_pydantic_ai.py": "pydantic-ai",
    "with_litellm.py": "LiteLLM",
    "with_llm.py": "llm",
    "with_instructor.py": "instructor",
}
SPOKEN = {
    "chat": "chat", "responses": "Responses", "messages": "messages", "gemini": "Gemini",
    "dashscope": "DashScope",
}  # fmt: skip
ENVIRONMENTS = {"with_llm.py": "clients-llm", "with_instructor.py": "clients-instructor"}
# Those that the tests themselves are run with.
IN_THIS_ENVIRONMENT = ("with_genai.py", "with_dashscope.py")
# Chats have no place of their own for sealed thinking: only a client that sends the whole message
# back sends it too. Some send back what nobody sealed, or Google's seal, which stands with the call.
KEEPS_ALL_OF_A_CHAT = "with_openai.py"
KEEPS_OF_A_CHAT = {"with_pydantic_ai.py": (dashscope, gemini), "with_litellm.py": (dashscope,)}
WORDS = "That is more than I can read."
CALLS = (
    Call("call_01A", "weather", {"city": "Paris"}),
    Call("call_01B", "weather", {"city": "Rome"}),
    Call("call_01C", "weather", {"city": "Oslo"}),
)
PLAYED = ("text", "tools in turn", "parallel tools", "refusals", "cancelling")
# What the model says in each play.
ANSWERS: list[Said] = [
    Answer("Hello there, traveller.", usage=Usage(read=70, cached=30, produced=5)),
    Answer("All at once.", usage=Usage(read=80, cached=20, produced=6)),
    Answer("I ask for both.", CALLS[:2], thinking="There are two cities."),
    Answer("And here.", CALLS[2:], thinking="One is missing."),
    Answer("It is sunny in all."),
    Failure(400, WORDS),
    Answer("word " * 30, pause_s=0.02),
]


def run(stage: Stage, script: str, plays: list[tuple[str, Play]]) -> list[dict[str, Any]]:
    """What the script printed of each play. One process has all, for most take long to start."""
    source = HERE / "scripts" / script
    if script.endswith(".mjs"):
        # Node looks for packages beside the script.
        program = [str(stage.installed.node), str(stage.installed.modules.parent / script)]
        shutil.copy(source, program[1])
    elif script in IN_THIS_ENVIRONMENT:
        program = [sys.executable, str(source)]
    else:
        environment = ENVIRONMENTS.get(script, "clients")
        program = [str(stage.installed.python(environment)), str(source)]
    finished = stage.run(
        [*program, *(f"{speaks}={play.model}={play.key.text}" for speaks, play in plays)],
        OPENAI_BASE_URL=f"{stage.url}/v1",
        ANTHROPIC_BASE_URL=stage.url,
        GOOGLE_BASE_URL=stage.url,
        DASHSCOPE_BASE_URL=f"{stage.url}/api/v1",
        LITELLM_LOCAL_MODEL_COST_MAP="True",  # else it asks for prices over the network
    )
    assert 0 == finished.returncode, finished.stderr[-3000:]
    return [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]


def keeps_thinking(script: str, speaks: str, upstream: str) -> bool:
    """Whether a client gives back what was thought, so that the vendor can go on from it."""
    if speaks != "chat" or script == KEEPS_ALL_OF_A_CHAT:
        return True
    return vendor_of(upstream) in KEEPS_OF_A_CHAT.get(script, ())


for of, spoken in CLIENTS.items():
    for way in spoken:
        note(NAMES[of], SPOKEN[way], UPSTREAMS[way], PLAYED)
        thought_of = [one for one in UPSTREAMS[way] if keeps_thinking(of, way, one)]
        note(NAMES[of], SPOKEN[way], thought_of, ["thinking across turns"])


# A model that thinks cannot be made to call.
FORCED = {
    way: [one for one in UPSTREAMS[way] if one != "qwen3.5-plus"] for way in ("chat", "messages")
}
for way, upstreams in FORCED.items():
    note(NAMES["with_instructor.py"], SPOKEN[way], upstreams, ["tools in turn"])


@pytest.mark.parametrize("script", CLIENTS)
def test_a_client_plays_its_part(stage: Stage, home: Path, script: str):
    """The person gets the model's words, the model its results and thinking, the ledger its due."""
    asked = [(speaks, upstream) for speaks in CLIENTS[script] for upstream in UPSTREAMS[speaks]]
    plays = [(speaks, stage.play(upstream, *ANSWERS)) for speaks, upstream in asked]
    for printed, of, (_, play) in zip(run(stage, script, plays), asked, plays, strict=True):
        assert ("Hello there, traveller.", "All at once.") == (printed["text"], printed["whole"])
        # Some print what was said before the calls as well.
        assert printed["tools"].endswith("It is sunny in all.")
        assert WORDS in printed["refusal"]
        assert printed["cancelled"].startswith("word")
        play.check()
        told = play.requests[4]
        results = play.results(told)
        assert [call.call_id for call in CALLS] == list(results)
        for call in CALLS:
            assert f"sunny in {call.arguments['city']}" in results[call.call_id]
        thought = "There are two cities.One is missing." if keeps_thinking(script, *of) else ""
        assert thought == play.vendor.thinking(told), of


def test_instructor_asks_again(stage: Stage, home: Path):
    """A forced tool is forced upstream; what does not fit its schema is asked for once more."""
    wrong, right = ({"name": "Ada", "age": age} for age in ("many", 36))
    said = [
        Answer(calls=[Call("call_01A", "Person", wrong)]),
        Answer(calls=[Call("call_01B", "Person", right)]),
    ]
    plays = [
        (speaks, stage.play(upstream, *said))
        for speaks, upstreams in FORCED.items()
        for upstream in upstreams
    ]
    people = [{"name": "Ada", "age": 36}] * len(plays)
    assert people == run(stage, "with_instructor.py", plays)
    for _, play in plays:
        play.check()
        for request in play.requests:
            # In the place that the vendor has for it; Google's and Bedrock's is an object.
            told = request.get("parameters", request)
            choice = told.get("tool_choice", told.get("toolConfig", {}).copy())
            choice.pop("tools", None) if isinstance(choice, dict) else None
            assert "Person" in json.dumps(choice)
        assert "call_01A" in play.results()
