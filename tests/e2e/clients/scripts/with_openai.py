"""openai for Python, unmodified: `chat` and `responses`, with loops of ours around the tools."""

import json
import sys

import openai

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "The weather in a city.", "parameters": PARAMETERS}


def weather(arguments: str) -> str:
    return f"sunny in {json.loads(arguments)['city']}"


class Chat:
    """Speaks chat completions."""

    def __init__(self, client: openai.OpenAI, model: str) -> None:
        self._client, self._model = client.chat.completions, model

    def ask(self, prompt: str, *, tools: bool = False) -> str:
        messages = [{"role": "user", "content": prompt}]
        more = {"tools": [{"type": "function", "function": FUNCTION}]} if tools else {}
        while True:
            with self._client.stream(
                model=self._model, messages=messages, reasoning_effort="low", **more
            ) as stream:
                message = stream.get_final_completion().choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.to_dict())
            messages += [
                {"role": "tool", "tool_call_id": call.id,
                 "content": weather(call.function.arguments)}
                for call in message.tool_calls
            ]  # fmt: skip

    def whole(self, prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        answer = self._client.create(model=self._model, messages=messages)
        return answer.choices[0].message.content

    def first_words(self, prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        with self._client.create(model=self._model, messages=messages, stream=True) as chunks:
            return next(text for one in chunks if (text := one.choices[0].delta.content))


class Responses:
    """Speaks Responses, and keeps what was said itself."""

    def __init__(self, client: openai.OpenAI, model: str) -> None:
        self._client, self._model = client.responses, model

    def ask(self, prompt: str, *, tools: bool = False) -> str:
        said = [{"role": "user", "content": prompt}]
        more = {"tools": [{"type": "function", **FUNCTION}]} if tools else {}
        while True:
            with self._client.stream(
                model=self._model, input=said, store=False,
                include=["reasoning.encrypted_content"],
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

    def whole(self, prompt: str) -> str:
        return self._client.create(model=self._model, input=prompt, store=False).output_text

    def first_words(self, prompt: str) -> str:
        with self._client.create(model=self._model, input=prompt, stream=True) as events:
            return next(one.delta for one in events if one.type == "response.output_text.delta")


for part in sys.argv[1:]:
    speaks, model, key = part.split("=")
    way = {"chat": Chat, "responses": Responses}[speaks]
    client = way(openai.OpenAI(api_key=key, max_retries=0), model)
    printed = {
        "text": client.ask("Say hello."),
        "whole": client.whole("Again."),
        "tools": client.ask("How is the weather in Paris and in Rome?", tools=True),
    }
    try:
        client.ask("Too much.")
    except openai.BadRequestError as refusal:
        printed["refusal"] = str(refusal)
    printed["cancelled"] = client.first_words("Count.")
    print(json.dumps(printed))
