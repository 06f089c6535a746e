"""anthropic for Python, unmodified, with its tool runner."""

import json
import sys
from typing import Any

import anthropic

_, model, key = sys.argv[1].split("=")
client = anthropic.Anthropic(api_key=key, max_retries=0)


@anthropic.beta_tool
def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


def request(prompt: str) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": prompt}],
    }


def said(message: Any) -> str:
    return next(block.text for block in message.content if block.type == "text")


def ask(prompt: str) -> str:
    with client.messages.stream(**request(prompt)) as stream:
        return said(stream.get_final_message())


printed = {"text": ask("Say hello.")}
runner = client.beta.messages.tool_runner(
    **request("How is the weather in Paris and in Rome?"), tools=[weather], stream=True
)
for stream in runner:
    printed["tools"] = said(stream.get_final_message())
try:
    ask("Too much.")
except anthropic.BadRequestError as refusal:
    printed["refusal"] = str(refusal)
with client.messages.stream(**request("Count.")) as stream:
    printed["cancelled"] = next(stream.text_stream)
print(json.dumps(printed))
