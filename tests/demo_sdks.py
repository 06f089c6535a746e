"""The vendors' SDKs, each used to ask the demo provider, and what each made of the answer."""

import collections
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable

import anthropic
import botocore.session
import dashscope
import openai
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from google import genai

KEY = "sk-demo-provider-0123456789abcdef"
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}


@dataclasses.dataclass(frozen=True)
class Ask:
    """What is asked of an SDK; `has_result`: the tool was called already."""

    url: str
    model: str
    stream: bool
    limit: int = 40
    has_tool: bool = False
    has_result: bool = False


@dataclasses.dataclass
class Heard:
    """What an SDK made of the answer, in no protocol's words."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    call: tuple[str, dict] | None = None
    end: str = ""
    tokens: tuple[int, int] = (0, 0)


def chat(ask: Ask) -> Heard:
    """openai, chat completions."""
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages: list = [{"role": "user", "content": "hi"}]
    if ask.has_result:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        ]
    options: dict = {"model": ask.model, "messages": messages, "max_tokens": ask.limit}
    if ask.has_tool:
        function = {"name": "weather", "parameters": TOOL}
        options["tools"] = [{"type": "function", "function": function}]
    with openai.OpenAI(base_url=ask.url + "/v1", api_key=KEY, max_retries=0) as client:
        if ask.stream:
            with client.chat.completions.stream(
                **options, stream_options={"include_usage": True}
            ) as stream:
                for _ in stream:
                    pass
                whole = stream.current_completion_snapshot
        else:
            whole = client.chat.completions.create(**options)
    (choice,) = whole.choices
    heard = Heard(
        text=choice.message.content or "",
        thinking=getattr(choice.message, "reasoning_content", None) or "",
        refusal=choice.message.refusal or "",
        end=choice.finish_reason,
        tokens=(whole.usage.prompt_tokens, whole.usage.completion_tokens),
    )
    for made in choice.message.tool_calls or ():
        heard.call = (made.function.name, json.loads(made.function.arguments))
    return heard


def messages(ask: Ask) -> Heard:
    """anthropic."""
    return _messages(ask, anthropic.Anthropic(base_url=ask.url, api_key=KEY, max_retries=0))


def invoke(ask: Ask) -> Heard:
    """anthropic, for Bedrock."""
    client = anthropic.AnthropicBedrock(
        base_url=ask.url, api_key=KEY, aws_region="us-east-1", max_retries=0
    )
    return _messages(ask, client)


def predict(ask: Ask) -> Heard:
    """anthropic, for Vertex."""
    client = anthropic.AnthropicVertex(
        base_url=ask.url + "/v1",
        access_token=KEY,
        project_id="p",
        region="global",
        max_retries=0,
    )
    return _messages(ask, client)


def _messages(ask: Ask, made: anthropic.Anthropic) -> Heard:
    said: list = [{"role": "user", "content": "hi"}]
    if ask.has_result:
        used = {"type": "tool_use", "id": "c", "name": "weather", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "c", "content": "sunny"}
        said += [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    options: dict = {"model": ask.model, "messages": said, "max_tokens": ask.limit}
    if ask.has_tool:
        options["tools"] = [{"name": "weather", "input_schema": TOOL}]
    with made as client:
        if ask.stream:
            with client.messages.stream(**options) as stream:
                whole = stream.get_final_message()
        else:
            whole = client.messages.create(**options)
    heard = Heard(
        end=whole.stop_reason, tokens=(whole.usage.input_tokens, whole.usage.output_tokens)
    )
    for block in whole.content:
        match block.type:
            case "thinking":
                assert block.signature
                heard.thinking += block.thinking
            case "tool_use":
                heard.call = (block.name, block.input)
            case "text" if whole.stop_reason == "refusal":
                heard.refusal += block.text
            case "text":
                heard.text += block.text
    return heard


def responses(ask: Ask) -> Heard:
    """openai, Responses."""
    heard: list = [{"role": "user", "content": "hi"}]
    if ask.has_result:
        call = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}
        heard += [call, {"type": "function_call_output", "call_id": "c", "output": "sunny"}]
    options: dict = {"model": ask.model, "input": heard, "max_output_tokens": ask.limit}
    options["include"] = ["reasoning.encrypted_content"]
    if ask.has_tool:
        options["tools"] = [{"type": "function", "name": "weather", "parameters": TOOL}]
    with openai.OpenAI(base_url=ask.url + "/v1", api_key=KEY, max_retries=0) as client:
        if ask.stream:
            with client.responses.stream(**options) as stream:
                for event in stream:
                    if event.type in ("response.completed", "response.incomplete"):
                        whole = event.response
        else:
            whole = client.responses.create(**options)
    return _of_response(whole)


def _of_response(whole) -> Heard:
    cut = whole.incomplete_details.reason if whole.incomplete_details else whole.status
    heard = Heard(end=cut, tokens=(whole.usage.input_tokens, whole.usage.output_tokens))
    for item in whole.output:
        match item.type:
            case "reasoning":
                assert item.encrypted_content
                heard.thinking += "".join(part.text for part in item.summary)
            case "function_call":
                heard.call = (item.name, json.loads(item.arguments))
            case "message":
                for part in item.content:
                    heard.text += part.text if part.type == "output_text" else ""
                    heard.refusal += part.refusal if part.type == "refusal" else ""
    return heard


def gemini(ask: Ask) -> Heard:
    """google-genai."""
    contents: list = [{"role": "user", "parts": [{"text": "hi"}]}]
    if ask.has_result:
        call = {"function_call": {"name": "weather", "args": {}}}
        result = {"function_response": {"name": "weather", "response": {"sky": "blue"}}}
        contents += [{"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]
    config: dict = {"max_output_tokens": ask.limit}
    if ask.has_tool:
        function = {"name": "weather", "parameters_json_schema": TOOL}
        config["tools"] = [{"function_declarations": [function]}]
    asked: dict = {"model": ask.model, "contents": contents, "config": config}
    options = genai.types.HttpOptions(base_url=ask.url)
    with genai.Client(api_key=KEY, http_options=options) as client:
        if ask.stream:
            chunks = list(client.models.generate_content_stream(**asked))
        else:
            chunks = [client.models.generate_content(**asked)]
    usage = chunks[-1].usage_metadata
    heard = Heard(
        end=chunks[-1].candidates[0].finish_reason.name,
        tokens=(
            usage.prompt_token_count, usage.candidates_token_count + usage.thoughts_token_count
        ),
    )  # fmt: skip
    for part in (part for chunk in chunks for part in chunk.candidates[0].content.parts):
        if part.function_call:
            assert part.thought_signature
            heard.call = (part.function_call.name, part.function_call.args)
        elif part.thought:
            heard.thinking += part.text
        elif heard.end == "SAFETY":
            heard.refusal += part.text
        else:
            heard.text += part.text
    return heard


class DashScopeError(Exception):
    """dashscope raises nothing: an answer has a status."""


def generation(ask: Ask) -> Heard:
    """dashscope."""
    messages: list = [{"role": "user", "content": "hi"}]
    function = {"name": "weather", "parameters": TOOL}
    if ask.has_result:
        call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "sunny"},
        ]
    answers = dashscope.Generation.call(
        ask.model, messages=messages, api_key=KEY, max_tokens=ask.limit, result_format="message",
        stream=ask.stream, incremental_output=ask.stream, base_address=ask.url + "/api/v1",
        tools=[{"type": "function", "function": function}] if ask.has_tool else None,
    )  # fmt: skip
    heard, arguments, name = Heard(), "", ""
    for answer in answers if ask.stream else [answers]:
        if answer.status_code != 200:
            raise DashScopeError(answer.message)
        (choice,) = answer.output.choices
        message = choice.message
        heard.text += message.content
        heard.thinking += message.get("reasoning_content") or ""
        for made in message.get("tool_calls") or ():
            name = made["function"].get("name") or name
            arguments += made["function"]["arguments"]
        heard.end = choice.finish_reason
        heard.tokens = (answer.usage.input_tokens, answer.usage.output_tokens)
    if name:
        heard.call = (name, json.loads(arguments))
    return heard


def converse(ask: Ask) -> Heard:
    """botocore."""
    messages: list = [{"role": "user", "content": [{"text": "hi"}]}]
    if ask.has_result:
        call = {"toolUse": {"toolUseId": "c", "name": "weather", "input": {}}}
        result = {"toolResult": {"toolUseId": "c", "content": [{"text": "sunny"}]}}
        messages += [
            {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}
        ]  # fmt: skip
    asked: dict = {"modelId": ask.model, "messages": messages}
    asked["inferenceConfig"] = {"maxTokens": ask.limit}
    if ask.has_tool:
        spec = {"name": "weather", "inputSchema": {"json": TOOL}}
        asked["toolConfig"] = {"tools": [{"toolSpec": spec}]}
    session = botocore.session.Session()
    session.set_config_variable("region", "us-east-1")
    # Else it looks for them in the cloud.
    session.set_credentials("unused", "unused")
    once = Config(retries={"total_max_attempts": 1}, signature_version=UNSIGNED)
    client = session.create_client("bedrock-runtime", endpoint_url=ask.url, config=once)
    # It sends Bedrock's own keys over TLS only.
    bearer = {"Authorization": f"Bearer {KEY}"}
    client.meta.events.register("before-send", lambda request, **_: request.headers.update(bearer))
    with contextlib.closing(client):
        if not ask.stream:
            answer = client.converse(**asked)
            blocks = answer["output"]["message"]["content"]
        else:
            answer = {}
            with contextlib.closing(client.converse_stream(**asked)["stream"]) as stream:
                blocks = _blocks_of(stream, answer)
    heard = Heard(end=answer["stopReason"])
    heard.tokens = (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"])
    for block in blocks:
        if "toolUse" in block:
            heard.call = (block["toolUse"]["name"], block["toolUse"]["input"])
        elif "reasoningContent" in block:
            assert block["reasoningContent"]["reasoningText"]["signature"]
            heard.thinking += block["reasoningContent"]["reasoningText"]["text"]
        elif heard.end == "content_filtered":
            heard.refusal += block["text"]
        else:
            heard.text += block["text"]
    return heard


def _blocks_of(stream: Iterable[dict], answer: dict) -> list[dict]:
    """The blocks of a stream; what else it says goes into `answer`."""
    blocks: dict[int, dict] = collections.defaultdict(dict)
    for event in stream:
        for told in ("contentBlockStart", "contentBlockDelta"):
            if at := event.get(told):
                _add(blocks[at["contentBlockIndex"]], at.get("start") or at["delta"])
        answer.update(event.get("messageStop", {}))
        answer.update(event.get("metadata", {}))
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return list(blocks.values())


def _add(block: dict, told: dict) -> None:
    """Texts are joined; thinking stands a level deeper in a whole answer."""
    for name, value in told.items():
        if name == "reasoningContent":
            _add(block.setdefault(name, {}).setdefault("reasoningText", {}), value)
        elif isinstance(value, dict):
            _add(block.setdefault(name, {}), value)
        else:
            block[name] = block.get(name, "") + value


@dataclasses.dataclass(frozen=True)
class Sdk:
    """A vendor's SDK: how it is used, its word for each end, and its error for a status above 399."""

    use: Callable[[Ask], Heard]
    stop: str
    length: str
    call: str
    refusal: str
    error: type[Exception]
    # Whether a refusal is told apart from a text.
    has_refusals: bool = True


SDKS = {
    "openai": Sdk(chat, "stop", "length", "tool_calls", "stop", openai.APIError),
    "anthropic": Sdk(
        messages, "end_turn", "max_tokens", "tool_use", "refusal", anthropic.APIStatusError
    ),
    "bedrock-invoke": Sdk(
        invoke, "end_turn", "max_tokens", "tool_use", "refusal", anthropic.APIStatusError
    ),
    "vertex-anthropic": Sdk(
        predict, "end_turn", "max_tokens", "tool_use", "refusal", anthropic.APIStatusError
    ),
    "responses": Sdk(
        responses, "completed", "max_output_tokens", "completed", "completed", openai.APIError
    ),
    "bedrock": Sdk(
        converse,
        "end_turn",
        "max_tokens",
        "tool_use",
        "content_filtered",
        ClientError,
    ),
    "dashscope": Sdk(
        generation, "stop", "length", "tool_calls", "stop", DashScopeError, has_refusals=False
    ),
    "gemini": Sdk(gemini, "STOP", "MAX_TOKENS", "STOP", "SAFETY", genai.errors.APIError),
}
