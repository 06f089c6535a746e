"""google-genai, unmodified, with its own loop around the tools."""

import json
import os
import sys
from typing import Any

from google import genai
from google.genai import errors, types


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def config(**more: Any) -> types.GenerateContentConfig:
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    return types.GenerateContentConfig(max_output_tokens=4000, thinking_config=thinking, **more)


def stream(client: genai.Client, model: str, prompt: str) -> Any:
    return client.models.generate_content_stream(model=model, contents=prompt, config=config())


def said(client: genai.Client, model: str, prompt: str) -> str:
    return "".join(chunk.text or "" for chunk in stream(client, model, prompt))


for part in sys.argv[1:]:
    _, model, key = part.split("=")
    options = types.HttpOptions(base_url=os.environ["GOOGLE_BASE_URL"])
    with genai.Client(api_key=key, http_options=options) as client:
        printed = {"text": said(client, model, "Say hello.")}
        whole = client.models.generate_content(model=model, contents="Again.", config=config())
        printed["whole"] = whole.text
        chat = client.chats.create(model=model, config=config(tools=[weather]))
        printed["tools"] = chat.send_message("How is the weather in Paris and in Rome?").text
        try:
            said(client, model, "Too much.")
        except errors.ClientError as refusal:
            printed["refusal"] = str(refusal)
        chunks = stream(client, model, "Count.")
        printed["cancelled"] = next(chunk.text for chunk in chunks if chunk.text)
        chunks.close()
    print(json.dumps(printed))
