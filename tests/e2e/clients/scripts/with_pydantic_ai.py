"""pydantic-ai, unmodified: its agent on its models of `chat`, `responses` and `messages`."""

import asyncio
import json
import sys
from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.openai import (
    OpenAIChatModel,
    OpenAIChatModelSettings,
    OpenAIResponsesModel,
    OpenAIResponsesModelSettings,
)
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

# It does not know the model.
PROFILE = OpenAIModelProfile(openai_supports_encrypted_reasoning_content=True)


def agent(speaks: str, name: str, key: str) -> Agent:
    if speaks == "messages":
        thinking = {"type": "enabled", "budget_tokens": 1024}
        client = AsyncAnthropic(api_key=key, max_retries=0)
        return Agent(
            AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client)),
            model_settings=AnthropicModelSettings(anthropic_thinking=thinking, max_tokens=4000),
        )
    openai = OpenAIProvider(openai_client=AsyncOpenAI(api_key=key, max_retries=0))
    if speaks == "chat":
        return Agent(
            OpenAIChatModel(name, provider=openai),
            model_settings=OpenAIChatModelSettings(openai_reasoning_effort="low"),
        )
    return Agent(
        OpenAIResponsesModel(name, provider=openai, profile=PROFILE),
        model_settings=OpenAIResponsesModelSettings(
            openai_reasoning_effort="low", openai_reasoning_summary="detailed", openai_store=False
        ),
    )


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def ask(asked: Agent, prompt: str, **more: Any) -> str:
    async with asked.run_stream(prompt, **more) as run:
        return await run.get_output()


async def first_words(asked: Agent, prompt: str) -> str:
    async with asked.run_stream(prompt) as run:
        async for text in run.stream_text(delta=True, debounce_by=None):
            return text
    raise AssertionError("no words")


async def main() -> None:
    for part in sys.argv[1:]:
        asked, armed = agent(*part.split("=")), agent(*part.split("="))
        armed.tool_plain(weather)
        printed = {"text": await ask(asked, "Say hello.")}
        printed["whole"] = (await asked.run("Again.")).output
        # A stream of an agent's ends with the first text: the whole run goes on past it.
        run = await armed.run("How is the weather in Paris and in Rome?")
        printed["tools"] = run.output
        try:
            await ask(asked, "Too much.")
        except Exception as refusal:  # noqa: BLE001 - whatever it makes of it is printed
            printed["refusal"] = f"{type(refusal).__name__}: {refusal}"
        printed["cancelled"] = await first_words(asked, "Count.")
        print(json.dumps(printed))


asyncio.run(main())
