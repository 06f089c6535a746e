"""llm, unmodified: its OpenAI models (`chat`) and llm-anthropic's (`messages`)."""

import json
import os
import sys
from pathlib import Path
from typing import Any

SPEAKS, NAME = sys.argv[1], os.environ["MODEL"]
home = Path.home() / "llm"
home.mkdir(exist_ok=True)
os.environ["LLM_USER_PATH"] = str(home)
(home / "extra-openai-models.yaml").write_text(
    f"- model_id: {NAME}\n  model_name: {NAME}\n  api_base: {os.environ['OPENAI_BASE_URL']}\n"
    "  supports_tools: true\n  api_key_name: tollgate\n"
)
(home / "keys.json").write_text(json.dumps({"tollgate": os.environ["OPENAI_API_KEY"]}))

import llm  # noqa: E402 - it reads its folder when it is imported
import llm_anthropic  # noqa: E402


def model() -> Any:
    if SPEAKS == "chat":
        return llm.get_model(NAME)
    return llm_anthropic.ClaudeMessages(
        NAME, base_url=os.environ["ANTHROPIC_BASE_URL"], supports_thinking=True
    )


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


asked = model()
options = {"thinking": True} if SPEAKS == "messages" else {}
printed = {
    "text": asked.prompt("Say hello.", **options).text(),
    "tools": asked.chain(
        "How is the weather in Paris and in Rome?", tools=[weather], options=options
    ).text(),
}
try:
    asked.prompt("Too much.", **options).text()
except Exception as refusal:  # noqa: BLE001 - whatever it makes of it is printed
    printed["refusal"] = f"{type(refusal).__name__}: {refusal}"
printed["cancelled"] = next(iter(asked.prompt("Count.", **options)))
print(json.dumps(printed))
