"""llm, unmodified: its OpenAI models (`chat`) and llm-anthropic's (`messages`)."""

import json
import os
import sys
from pathlib import Path
from typing import Any

# Its folder, which it reads when it is imported.
FOLDER = Path.home() / "llm"
FOLDER.mkdir()
os.environ["LLM_USER_PATH"] = str(FOLDER)

import llm  # noqa: E402
import llm_anthropic  # noqa: E402


def model(speaks: str, name: str, key: str) -> Any:
    if speaks == "messages":
        found = llm_anthropic.ClaudeMessages(
            name, base_url=os.environ["ANTHROPIC_BASE_URL"], supports_thinking=True
        )
        found.key = key
        return found
    (FOLDER / "keys.json").write_text(json.dumps({"tollgate": key}))
    (FOLDER / "extra-openai-models.yaml").write_text(
        f"- model_id: {name}\n  model_name: {name}\n  api_base: {os.environ['OPENAI_BASE_URL']}\n"
        "  supports_tools: true\n  api_key_name: tollgate\n"
    )
    return llm.get_model(name)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


for part in sys.argv[1:]:
    asked = model(*part.split("="))
    options = {"thinking": True} if part.startswith("messages") else {}
    question = "How is the weather in Paris and in Rome?"
    printed = {
        "text": asked.prompt("Say hello.", **options).text(),
        "whole": asked.prompt("Again.", stream=False, **options).text(),
        "tools": asked.chain(question, tools=[weather], options=options).text(),
    }
    try:
        asked.prompt("Too much.", **options).text()
    except Exception as refusal:  # noqa: BLE001 - whatever it makes of it is printed
        printed["refusal"] = f"{type(refusal).__name__}: {refusal}"
    printed["cancelled"] = next(iter(asked.prompt("Count.", **options)))
    print(json.dumps(printed))
