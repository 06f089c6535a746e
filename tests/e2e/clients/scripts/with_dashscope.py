"""dashscope, unmodified, with a loop of ours around the tools: streams are whole so far."""

import json
import os
import sys
from typing import Any

import dashscope

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}


def call(model: str, key: str, messages: list[Any], **more: Any) -> Any:
    return dashscope.Generation.call(
        model, messages=messages, api_key=key, result_format="message", max_tokens=4000,
        enable_thinking=True, thinking_budget=1024,
        base_address=os.environ["DASHSCOPE_BASE_URL"], **more,
    )  # fmt: skip


def message_of(answer: Any) -> Any:
    if answer.status_code != 200:
        raise ValueError(f"{answer.status_code} {answer.code}: {answer.message}")
    return answer.output.choices[0].message


def ask(model: str, key: str, prompt: str, **more: Any) -> str:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    while True:
        *_, last = call(model, key, messages, stream=True, incremental_output=False, **more)
        message = message_of(last)
        if not message.get("tool_calls"):
            return message.content
        messages.append(dict(message))
        for made in message["tool_calls"]:
            city = json.loads(made["function"]["arguments"])["city"]
            messages.append(
                {"role": "tool", "tool_call_id": made["id"], "content": f"sunny in {city}"}
            )


for part in sys.argv[1:]:
    _, model, key = part.split("=")
    tools = [{"type": "function", "function": FUNCTION}]
    question = "How is the weather in Paris and in Rome?"
    printed = {
        "text": ask(model, key, "Say hello."),
        "whole": message_of(call(model, key, [{"role": "user", "content": "Again."}])).content,
        "tools": ask(model, key, question, tools=tools, parallel_tool_calls=True),
    }
    try:
        ask(model, key, "Too much.")
    except ValueError as refusal:
        printed["refusal"] = str(refusal)
    counted = [{"role": "user", "content": "Count."}]
    answers = call(model, key, counted, stream=True, incremental_output=True)
    printed["cancelled"] = next(text for one in answers if (text := message_of(one).content))
    answers.close()
    print(json.dumps(printed))
