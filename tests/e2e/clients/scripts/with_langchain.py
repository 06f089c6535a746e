"""langchain-openai (`chat`, `responses`) and langchain-anthropic (`messages`), unmodified."""

import json
import sys
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


def model(speaks: str, name: str, key: str) -> Any:
    match speaks:
        case "chat":
            return ChatOpenAI(model=name, api_key=key, max_retries=0, reasoning_effort="low")
        case "responses":
            return ChatOpenAI(
                model=name, api_key=key, max_retries=0, use_responses_api=True, store=False,
                include=["reasoning.encrypted_content"],
                reasoning={"effort": "low", "summary": "auto"},
            )  # fmt: skip
    thinking = {"type": "enabled", "budget_tokens": 1024}
    return ChatAnthropic(model=name, api_key=key, max_retries=0, max_tokens=4000, thinking=thinking)


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def ask(chat: Any, prompt: str) -> str:
    messages: list[Any] = [HumanMessage(prompt)]
    while True:
        whole = None
        for chunk in chat.stream(messages):
            whole = chunk if whole is None else whole + chunk
        if not whole.tool_calls:
            return whole.text
        messages.append(whole)
        messages += [
            ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])
            for call in whole.tool_calls
        ]


for part in sys.argv[1:]:
    chat = model(*part.split("="))
    printed = {
        "text": ask(chat, "Say hello."),
        "whole": chat.invoke("Again.").text,
        "tools": ask(chat.bind_tools([weather]), "How is the weather in Paris and in Rome?"),
    }
    try:
        ask(chat, "Too much.")
    except Exception as refusal:  # noqa: BLE001 - whatever it makes of it is printed
        printed["refusal"] = f"{type(refusal).__name__}: {refusal}"
    printed["cancelled"] = next(chunk.text for chunk in chat.stream("Count.") if chunk.text)
    print(json.dumps(printed))
