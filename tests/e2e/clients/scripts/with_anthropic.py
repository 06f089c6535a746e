"""anthropic for Python, unmodified, with its tool runner."""

import json
import sys
from typing import Any

import anthropic


@anthropic.beta_tool
def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


def request(model: str, prompt: str) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": prompt}],
    }


def said(message: Any) -> str:
    return next(block.text for block in message.content if block.type == "text")


def ask(client: anthropic.Anthropic, model: str, prompt: str) -> str:
    with client.messages.stream(**request(model, prompt)) as stream:
        return said(stream.get_final_message())


def ask_with_tools(client: anthropic.Anthropic, model: str, prompt: str) -> str:
    runner = client.beta.messages.tool_runner(
        **request(model, prompt), tools=[weather], stream=True
    )
    *_, last = (stream.get_final_message() for stream in runner)
    return said(last)


for part in sys.argv[1:]:
    _, model, key = part.split("=")
    client = anthropic.Anthropic(api_key=key, max_retries=0)
    printed = {
        "text": ask(client, model, "Say hello."),
        "whole": said(client.messages.create(**request(model, "Again."))),
        "tools": ask_with_tools(client, model, "How is the weather in Paris and in Rome?"),
    }
    try:
        ask(client, model, "Too much.")
    except anthropic.BadRequestError as refusal:
        printed["refusal"] = str(refusal)
    with client.messages.stream(**request(model, "Count.")) as stream:
        printed["cancelled"] = next(stream.text_stream)
    print(json.dumps(printed))
