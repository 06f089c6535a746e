"""litellm as a client, unmodified: `chat` by its openai provider, `messages` by its anthropic one."""

import json
import os
import sys
from typing import Any

import litellm

SPEAKS = sys.argv[1]
PROVIDER = {"chat": "openai", "messages": "anthropic"}[SPEAKS]
BASE = os.environ["OPENAI_BASE_URL" if SPEAKS == "chat" else "ANTHROPIC_BASE_URL"]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}


def stream(messages: list[Any], **more: Any) -> Any:
    if SPEAKS == "messages":
        more["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        more["max_tokens"] = 4000
        more["allowed_openai_params"] = ["thinking"]  # of a model that it does not know
    return litellm.completion(
        f"{PROVIDER}/{os.environ['MODEL']}", messages=messages, api_base=BASE, stream=True,
        num_retries=0, max_retries=0, **more,
    )  # fmt: skip


def ask(prompt: str, **more: Any) -> str:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    while True:
        chunks = list(stream(messages, **more))
        message = litellm.stream_chunk_builder(chunks).choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message)
        for call in message.tool_calls:
            city = json.loads(call.function.arguments)["city"]
            messages.append(
                {"role": "tool", "tool_call_id": call.id, "content": f"sunny in {city}"}
            )


printed = {
    "text": ask("Say hello."),
    "tools": ask(
        "How is the weather in Paris and in Rome?",
        tools=[{"type": "function", "function": FUNCTION}],
    ),
}
try:
    ask("Too much.")
except litellm.BadRequestError as refusal:
    printed["refusal"] = str(refusal)
chunks = stream([{"role": "user", "content": "Count."}])
printed["cancelled"] = next(text for one in chunks if (text := one.choices[0].delta.content))
print(json.dumps(printed))
