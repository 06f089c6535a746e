"""Google's SDK, unchanged, and models of Google's for clients of other protocols."""

import base64
import json

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests import upstream
from tests.live import ANTHROPIC, OPENAI, Live
from tollgate.router.v1 import router_pb2

GEMINI = router_pb2.CLIENT_PROTOCOL_GEMINI
PROMPT = "Say hello to the tollgate."
SIGNATURE = base64.b64encode(b"\xfb\xff signed").decode()
USAGE = {
    "promptTokenCount": 20,
    "cachedContentTokenCount": 5,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 57,
}
TOOL = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def said(*parts, reason="STOP", **members):
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "modelVersion": "upstream-name",
        "responseId": "r",
        **members,
    }


def stream(*documents):
    frames = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in documents)
    return [upstream.STREAM_HEAD % b"", frames]


def refusal(status, word, message, details=()):
    error = {"code": status, "message": message, "status": word, "details": list(details)}
    body = json.dumps({"error": error}).encode()
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return [head % (status, len(body)) + body]


CALL = {
    "functionCall": {"name": "get_weather", "args": {"city": "Bern"}},
    "thoughtSignature": SIGNATURE,
}
SCRIPTS = {
    "g-text": [upstream.whole(json.dumps(said({"text": "Hello, gate."}, usageMetadata=USAGE)).encode())],
    "g-call": [upstream.whole(json.dumps(said(CALL, usageMetadata=USAGE)).encode())],
    "g-stream": stream(
        said({"text": "Hm.", "thought": True}, reason=None),
        said({"text": "Hello, "}, reason=None),
        said({"text": "gate."}),
        # Usage may come behind the end.
        {"usageMetadata": USAGE},
    ),
    "g-call-stream": stream(said(CALL, reason=None), said({"text": ""}, usageMetadata=USAGE)),
    "g-cut": [
        *stream(said({"text": "Hello, "}, reason=None, usageMetadata=USAGE)),
        upstream.RESET,
    ],
    "g-400": refusal(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8)."),
    "g-429": refusal(
        429, "RESOURCE_EXHAUSTED", "You exceeded your current quota. Please retry in 7.5s.",
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}],
    ),
    "g-key": refusal(
        400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.",
        [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    ),
}  # fmt: skip


SEALED = {"type": "thinking", "thinking": "Which city?", "signature": "EqQ+/w=="}
USED = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Bern"}}


def message(*blocks, reason="tool_use"):
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": list(blocks), "stop_reason": reason, "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }  # fmt: skip


def events(*blocks, reason="tool_use"):
    """The same message as a stream."""
    whole = message(*blocks, reason=reason)
    told = [{"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}]
    for index, block in enumerate(blocks):
        begun = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block.get("thinking")},
            {"type": "signature_delta", "signature": block.get("signature")},
        ]
        if block["type"] == "tool_use":
            begun = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        told.append({"type": "content_block_start", "index": index, "content_block": begun})
        told += [{"type": "content_block_delta", "index": index, "delta": one} for one in deltas]
        told.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": reason, "stop_sequence": None}
    told.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}})
    told.append({"type": "message_stop"})
    frames = (f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told)
    return [upstream.STREAM_HEAD % b"", b"".join(frames)]


CLAUDE = {
    "claude-sonnet-4-5-whole": [upstream.whole(json.dumps(message(SEALED, USED)).encode())],
    "claude-sonnet-4-5-stream": events(SEALED, USED),
}


@pytest.fixture(scope="module")
def key(live: Live):
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def client(live: Live, key):
    options = types.HttpOptions(base_url=live.api_urls[0])
    return genai.Client(api_key=key.text, http_options=options)


@pytest.fixture(scope="module")
def up():
    with upstream.running() as server:
        server.scripts.update({**SCRIPTS, **CLAUDE})
        yield server


@pytest.fixture(scope="module")
def google(live: Live, up):
    """Google's models, of an upstream that speaks as Google does."""
    base = up.url.removesuffix("/v1") + "/v1beta"
    return live.models({name: name for name in SCRIPTS}, GEMINI, base_url=base)


@pytest.fixture(scope="module")
def demo(live: Live):
    """A model of each other protocol, of the demo provider."""
    return {
        "chat": live.model("demo-gpt", OPENAI),
        "messages": live.model("demo-claude", ANTHROPIC),
    }


def receipt_of(live: Live, key, response):
    return live.receipt(key, response.sdk_http_response.headers["x-request-id"]).json()


def test_a_call(live: Live, key, client, google, up):
    """Text and usage are Google's own; the body is the client's, with the limit that was set."""
    answer = client.models.generate_content(
        model=google["g-text"], contents=PROMPT, config={"max_output_tokens": 100}
    )
    assert answer.text == "Hello, gate."
    assert answer.model_version == google["g-text"]
    assert answer.usage_metadata.total_token_count == 57
    receipt = receipt_of(live, key, answer)
    assert receipt["usage"]["input_tokens"] == 15
    assert receipt["usage"]["output_tokens"] == 37
    sent = json.loads(up.last())
    assert sent["generationConfig"] == {"maxOutputTokens": 100}
    assert up.paths[-1] == "/v1beta/models/g-text:generateContent"


def test_a_stream(live: Live, key, client, google, up):
    """Chunk by chunk; the usage that came behind the end is told and charged."""
    chunks = list(client.models.generate_content_stream(model=google["g-stream"], contents=PROMPT))
    assert "".join(chunk.text or "" for chunk in chunks) == "Hello, gate."
    assert chunks[-1].usage_metadata.thoughts_token_count == 30
    receipt = live.receipt(key, chunks[0].sdk_http_response.headers["x-request-id"]).json()
    assert receipt["usage"]["output_tokens"] == 37
    assert receipt["usage"]["cache_read_tokens"] == 5
    assert up.paths[-1] == "/v1beta/models/g-stream:streamGenerateContent?alt=sse"


def test_functions_and_signatures_go_round(client, google, up):
    """A chat with a tool: the signature goes back to Google byte for byte."""
    chat = client.chats.create(
        model=google["g-call"], config={"tools": [{"function_declarations": [TOOL]}],
                                        "automatic_function_calling": {"disable": True}},
    )  # fmt: skip
    answer = chat.send_message(PROMPT)
    (call,) = answer.function_calls
    assert (call.name, call.args) == ("get_weather", {"city": "Bern"})
    part = types.Part.from_function_response(name=call.name, response={"output": "sunny"})
    chat.send_message(part)
    turns = json.loads(up.last())["contents"]
    back = turns[1]["parts"][0]["thoughtSignature"]
    assert base64.urlsafe_b64decode(back) == base64.b64decode(SIGNATURE)


def test_errors(client, google):
    """Google's words, status and class; a dead key of ours is nothing that a client can help."""
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=google["g-400"], contents=PROMPT)
    assert (400, "INVALID_ARGUMENT") == (caught.value.code, caught.value.status)
    assert "input token count (9) exceeds" in caught.value.message
    assert caught.value.details["error"]["details"][0]["metadata"]["trace_id"]
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=google["g-429"], contents=PROMPT)
    assert (429, "RESOURCE_EXHAUSTED") == (caught.value.code, caught.value.status)
    assert caught.value.response.headers["retry-after-ms"] == "7500"
    with pytest.raises(errors.ServerError) as caught:
        client.models.generate_content(model=google["g-key"], contents=PROMPT)
    assert 502 == caught.value.code
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="no-such-model", contents=PROMPT)
    assert (404, "NOT_FOUND") == (caught.value.code, caught.value.status)
    with pytest.raises(errors.APIError) as caught:
        list(client.models.generate_content_stream(model=google["g-cut"], contents=PROMPT))
    assert caught.value.status == "UNAVAILABLE"


def test_what_costs_more_is_refused(client, google, up):
    """Search, and pictures as an answer: no upstream is asked."""
    asked = len(up.bodies)
    for config in ({"tools": [{"google_search": {}}]}, {"response_modalities": ["IMAGE"]}):
        with pytest.raises(errors.ClientError) as caught:
            client.models.generate_content(model=google["g-text"], contents=PROMPT, config=config)
        assert (400, "UNSUPPORTED_PARAMETER") == (
            caught.value.code, caught.value.details["error"]["details"][0]["reason"],
        )  # fmt: skip
    assert asked == len(up.bodies)


def test_models_and_counts(client, google, demo):
    """Lists, one model and countTokens, in Google's shapes."""
    listed = {model.name for model in client.models.list()}
    for name in (google["g-text"], demo["messages"]):
        assert f"models/{name}" in listed
    one = client.models.get(model=google["g-text"])
    assert (f"models/{google['g-text']}", 100_000) == (one.name, one.input_token_limit)
    counted = client.models.count_tokens(model=demo["messages"], contents=PROMPT * 50)
    assert 100 < counted.total_tokens < 1_000


@pytest.mark.parametrize("protocol", ["chat", "messages"])
def test_models_of_other_vendors(live: Live, key, client, demo, protocol):
    """Text, usage and cost, whole and streamed; and what was left out is named."""
    answer = client.models.generate_content(
        model=demo[protocol], contents=PROMPT,
        config={"max_output_tokens": 20, "safety_settings": [
            {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
    )  # fmt: skip
    assert answer.text
    assert "safetySettings" in answer.sdk_http_response.headers["x-tollgate-dropped"]
    assert answer.model_version == demo[protocol]
    usage = answer.usage_metadata
    nano = usage.prompt_token_count * 1_000 + usage.candidates_token_count * 2_000
    assert nano == receipt_of(live, key, answer)["cost_nano_usd"]
    chunks = list(
        client.models.generate_content_stream(
            model=demo[protocol], contents=PROMPT, config={"max_output_tokens": 20}
        )
    )
    assert answer.text == "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].usage_metadata.total_token_count == usage.total_token_count
    assert chunks[-1].candidates[0].finish_reason


@pytest.mark.parametrize("form", ["whole", "stream"])
def test_anthropics_thinking_goes_round(live: Live, client, up, form):
    """Google's SDK keeps it in its chat, and Anthropic gets it back as it was."""
    model = {"claude": f"claude-sonnet-4-5-{form}"}
    name = live.models(model, ANTHROPIC, base_url=up.url, price={"max_output_tokens": 4_000})
    chat = client.chats.create(
        model=name["claude"],
        config={
            "tools": [{"function_declarations": [TOOL]}],
            "automatic_function_calling": {"disable": True},
            "thinking_config": {"include_thoughts": True, "thinking_budget": 2_000},
            "max_output_tokens": 3_000,
        },
    )

    def say(text):
        if form == "whole":
            return [chat.send_message(text)]
        return list(chat.send_message_stream(text))

    parts = [part for one in say(PROMPT) for part in one.candidates[0].content.parts or ()]
    assert "Which city?" == "".join(part.text or "" for part in parts if part.thought)
    (call,) = (part.function_call for part in parts if part.function_call)
    assert ("toolu_1", "get_weather", {"city": "Bern"}) == (call.id, call.name, call.args)
    response = {"output": "sunny"}
    say(types.Part(function_response={"id": call.id, "name": call.name, "response": response}))
    sent = json.loads(up.last())
    assert {"role": "assistant", "content": [SEALED, USED]} == sent["messages"][1]
    (result,) = sent["messages"][2]["content"]
    assert ("tool_result", "toolu_1") == (result["type"], result["tool_use_id"])
    assert {"type": "enabled", "budget_tokens": 2_000, "display": "summarized"} == sent["thinking"]


@pytest.fixture(scope="module")
def oai(live: Live, key):
    with openai.OpenAI(
        base_url=f"{live.api_urls[0]}/v1", api_key=key.text, max_retries=0
    ) as client:
        yield client


@pytest.fixture(scope="module")
def ant(live: Live, key):
    with anthropic.Anthropic(base_url=live.api_urls[0], api_key=key.text, max_retries=0) as client:
        yield client


def test_openai_calls_a_model_of_google(oai, google, up):
    """A chat, whole and streamed: text, usage with thoughts, a call whose signature goes back."""
    messages = [{"role": "user", "content": PROMPT}]
    answer = oai.chat.completions.create(model=google["g-text"], messages=messages, max_tokens=100)
    assert answer.choices[0].message.content == "Hello, gate."
    assert (20, 37) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert 30 == answer.usage.completion_tokens_details.reasoning_tokens
    assert 100 == json.loads(up.last())["generationConfig"]["maxOutputTokens"]
    with oai.chat.completions.stream(model=google["g-stream"], messages=messages) as told:
        assert told.get_final_completion().choices[0].message.content == "Hello, gate."
    tools = [{"type": "function", "function": TOOL}]
    for name in ("g-call", "g-call-stream"):
        if name == "g-call":
            final = oai.chat.completions.create(model=google[name], messages=messages, tools=tools)
        else:
            with oai.chat.completions.stream(
                model=google[name], messages=messages, tools=tools
            ) as told:
                final = told.get_final_completion()
        said_by_model = final.choices[0].message
        (call,) = said_by_model.tool_calls
        assert ("get_weather", '{"city":"Bern"}') == (call.function.name, call.function.arguments)
        oai.chat.completions.create(
            model=google["g-text"],
            messages=[
                *messages,
                said_by_model.model_dump(exclude_none=True, exclude={"parsed"}),
                {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
            ],
            tools=tools,
        )
        turns = json.loads(up.last())["contents"]
        assert SIGNATURE == turns[1]["parts"][0]["thoughtSignature"]
        assert "sunny" == turns[2]["parts"][0]["functionResponse"]["response"]["output"]


def test_anthropic_calls_a_model_of_google(ant, google, up):
    """Messages, whole and streamed: text, thinking, a call whose signature goes back."""
    messages = [{"role": "user", "content": PROMPT}]
    with ant.messages.stream(model=google["g-stream"], messages=messages, max_tokens=100) as told:
        final = told.get_final_message()
    assert ["thinking", "text"] == [block.type for block in final.content]
    assert "Hello, gate." == final.content[1].text
    assert (15, 5, 37) == (
        final.usage.input_tokens, final.usage.cache_read_input_tokens, final.usage.output_tokens,
    )  # fmt: skip
    tools = [{"name": "get_weather", "input_schema": TOOL["parameters"]}]
    answer = ant.messages.create(
        model=google["g-call"], messages=messages, max_tokens=100, tools=tools
    )
    assert "tool_use" == answer.stop_reason
    call = answer.content[-1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    ant.messages.create(
        model=google["g-text"], max_tokens=100, tools=tools,
        messages=[
            *messages,
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": [result]},
        ],
    )  # fmt: skip
    turns = json.loads(up.last())["contents"]
    assert SIGNATURE == turns[1]["parts"][0]["thoughtSignature"]


def test_an_error_in_the_middle_is_told_in_the_clients_protocol(oai, ant, google):
    """Each SDK raises its own error."""
    messages = [{"role": "user", "content": PROMPT}]
    with pytest.raises(openai.APIError):
        list(oai.chat.completions.create(model=google["g-cut"], messages=messages, stream=True))
    with (
        pytest.raises(anthropic.APIError),
        ant.messages.stream(model=google["g-cut"], messages=messages, max_tokens=50) as told,
    ):
        told.get_final_message()
