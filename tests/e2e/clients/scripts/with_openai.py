"""openai for Python, unmodified: `chat` and `responses`, with loops of ours around the tools."""

import json
import os
import sys

import openai

SPEAKS, MODEL = sys.argv[1], os.environ["MODEL"]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}
client = openai.OpenAI(max_retries=0)


def weather(arguments: str) -> str:
    return f"sunny in {json.loads(arguments)['city']}"


def chat(prompt: str, *, tools: bool = False) -> str:
    messages = [{"role": "user", "content": prompt}]
    more = {"tools": [{"type": "function", "function": FUNCTION}]} if tools else {}
    while True:
        with client.chat.completions.stream(
            model=MODEL, messages=messages, reasoning_effort="low", **more
        ) as stream:
            message = stream.get_final_completion().choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.to_dict())
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": weather(call.function.arguments)}
            for call in message.tool_calls
        ]


def responses(prompt: str, *, tools: bool = False) -> str:
    said = [{"role": "user", "content": prompt}]
    more = {"tools": [{"type": "function", **FUNCTION}]} if tools else {}
    while True:
        with client.responses.stream(
            model=MODEL, input=said, store=False, include=["reasoning.encrypted_content"],
            reasoning={"effort": "low", "summary": "auto"}, **more,
        ) as stream:  # fmt: skip
            answer = stream.get_final_response()
        calls = [item for item in answer.output if item.type == "function_call"]
        if not calls:
            return answer.output_text
        said += [item.to_dict() for item in answer.output]
        said += [
            {"type": "function_call_output", "call_id": call.call_id,
             "output": weather(call.arguments)}
            for call in calls
        ]  # fmt: skip


def first_words(prompt: str) -> str:
    if SPEAKS == "chat":
        messages = [{"role": "user", "content": prompt}]
        with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as chunks:
            return next(text for one in chunks if (text := one.choices[0].delta.content))
    with client.responses.create(model=MODEL, input=prompt, stream=True) as events:
        return next(one.delta for one in events if one.type == "response.output_text.delta")


ask = chat if SPEAKS == "chat" else responses
printed = {
    "text": ask("Say hello."),
    "tools": ask("How is the weather in Paris and in Rome?", tools=True),
}
try:
    ask("Too much.")
except openai.BadRequestError as refusal:
    printed["refusal"] = str(refusal)
printed["cancelled"] = first_words("Count.")
print(json.dumps(printed))
