"""litellm as a client, unmodified: `chat` by its openai provider, `messages` by its anthropic one."""

import json
import os
import sys
from typing import Any

import litellm

# The provider of its own, and the address that it has.
WAYS = {"chat": ("openai", "OPENAI_BASE_URL"), "messages": ("anthropic", "ANTHROPIC_BASE_URL")}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}


def complete(part: str, messages: list[Any], **more: Any) -> Any:
    speaks, model, key = part.split("=")
    provider, address = WAYS[speaks]
    if speaks == "messages":
        more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        more["max_tokens"] = 4000
        more["allowed_openai_params"] = ["thinking"]  # of a model that it does not know
    return litellm.completion(
        f"{provider}/{model}", messages=messages, api_base=os.environ[address], api_key=key,
        num_retries=0, max_retries=0, **more,
    )  # fmt: skip


def stream(part: str, messages: list[Any], **more: Any) -> Any:
    return complete(part, messages, stream=True, **more)


def ask(part: str, prompt: str, **more: Any) -> str:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    while True:
        chunks = list(stream(part, messages, **more))
        message = litellm.stream_chunk_builder(chunks).choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message)
        for call in message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            messages.append(
                {"role": "tool", "tool_call_id": call.id, "content": f"sunny in {city}"}
            )


for part in sys.argv[1:]:
    tools = [{"type": "function", "function": FUNCTION}]
    again = {"role": "user", "content": "Again."}
    printed = {
        "text": ask(part, "Say hello."),
        "whole": complete(part, [again]).choices[0].message.content,
        "tools": ask(part, "How is the weather in Paris and in Rome?", tools=tools),
    }
    try:
        ask(part, "Too much.")
    except litellm.BadRequestError as refusal:
        printed["refusal"] = str(refusal)
    # Left to the garbage collector, a stream may be ended inside httpcore's own lock, for ever
    # (encode/httpcore#996): whoever leaves one closes it.
    with stream(part, [{"role": "user", "content": "Count."}]) as chunks:
        said = (text for one in chunks if (text := one.choices[0].delta.content))
        printed["cancelled"] = next(said)
    print(json.dumps(printed))
