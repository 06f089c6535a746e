"""DashScope's official SDK, unchanged, in both of its styles: only base URL and key are ours."""

import json

import anthropic
import dashscope
import openai
import pytest
from dashscope.v2 import errors
from dashscope.v2.client import Client

from tests import upstream
from tests.live import ANTHROPIC, DASHSCOPE, OPENAI, Live
from tollgate_cli.suite.processes.ports import free_port

PROMPT = [{"role": "user", "content": "Say hello to the tollgate."}]
SEEN = [{"role": "user", "content": [{"text": "Say hello to the tollgate."}]}]
USAGE = {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15,
         "prompt_tokens_details": {"cached_tokens": 4}}  # fmt: skip
# $1 a million in, $2 out, nothing for what the cache had.
NANO = 8 * 1000 + 3 * 2000
FAILED = {"demo-400", "demo-429-2", "demo-500-key", "demo-error-mid"}


def frame(number, output, usage=USAGE):
    document = {"output": output, "usage": usage, "request_id": "r"}
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:%b\n\n" % (number, data)


def choice(text, reason="null", **more):
    message = {"role": "assistant", "content": text, **more}
    return {"choices": [{"message": message, "finish_reason": reason}]}


FRAMES = [
    frame(1, choice("Hel"), {"input_tokens": 12, "output_tokens": 1}),
    frame(2, choice("lo"), {"input_tokens": 12, "output_tokens": 2}),
    frame(3, choice("", "stop")),
]
BODY = json.dumps({"output": choice("Hello", "stop"), "usage": USAGE, "request_id": "r"}).encode()
CALL = {"index": 0, "id": "call_1", "type": "function",
        "function": {"name": "look", "arguments": '{"at":1}'}}  # fmt: skip
ERROR = {"code": "Throttling.RateQuota", "message": "Too many.", "request_id": "r"}
SCRIPTS = {
    "native": [upstream.whole(BODY)],
    "native-stream": [upstream.STREAM_HEAD % b"", *FRAMES],
    "native-call": [
        upstream.whole(
            json.dumps(
                {"output": choice("", "tool_calls", tool_calls=[CALL]), "usage": USAGE}
            ).encode()
        )
    ],
    "native-error": [
        upstream.STREAM_HEAD % b"",
        FRAMES[0],
        b"id:2\nevent:error\n:HTTP_STATUS/429\ndata:%b\n\n" % json.dumps(ERROR).encode(),
    ],
    "qwen-vl-native": [upstream.whole(BODY)],
}  # fmt: skip


@pytest.fixture(scope="module")
def key(live: Live):
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def native():
    with upstream.running() as running:
        running.scripts.update(SCRIPTS)
        yield running


@pytest.fixture(scope="module")
def models(live: Live, native):
    """Public names by what answers: chats, messages, and DashScope itself."""
    failing = {name: name for name in FAILED}
    return {
        **live.models({"demo-gpt": "demo-gpt"}, OPENAI),
        **live.models({"demo-claude": "demo-claude", **failing}, ANTHROPIC),
        **live.models({name: name for name in SCRIPTS}, DASHSCOPE, base_url=native.url),
    }


@pytest.fixture
def generate(live: Live, key):
    """The older style: a call of a class."""

    def call(of=dashscope.Generation, **fields):
        return of.call(base_address=f"{live.api_urls[0]}/api/v1", api_key=key.text, **fields)

    return call


@pytest.fixture
def client(live: Live, key):
    """The newer style: a client."""
    with Client(
        base_url=f"{live.api_urls[0]}/api/v1", api_key=key.text, protocol="native", max_retries=0
    ) as made:
        yield made


@pytest.mark.parametrize("model", ["demo-claude", "demo-gpt", "native"])
def test_a_generation_of_any_model(live: Live, key, generate, models, model):
    """Text, usage and cost, in the form that was asked for, whatever the upstream speaks."""
    for form in ("message", "text"):
        answer = generate(model=models[model], messages=PROMPT, max_tokens=20, result_format=form)
        assert 200 == answer.status_code, answer
        choices = answer.output.choices
        text = choices[0].message.content if choices else answer.output.text
        assert text
        receipt = live.receipt(key, answer.headers["x-request-id"]).json()
        usage = answer.usage
        assert NANO == receipt["cost_nano_usd"] or (
            usage.input_tokens * 1000 + usage.output_tokens * 2000 == receipt["cost_nano_usd"]
        )


@pytest.mark.parametrize("model", ["demo-claude", "demo-gpt"])
def test_a_stream_in_pieces_and_whole_so_far(generate, models, model):
    """Both ways of streaming add up to the same answer, and end with the same usage."""
    asked = {"model": models[model], "messages": PROMPT, "max_tokens": 20, "stream": True,
             "result_format": "message"}  # fmt: skip
    pieces = list(generate(incremental_output=True, **asked))
    full = list(generate(incremental_output=False, **asked))
    text = "".join(one.output.choices[0].message.content for one in pieces)
    assert text
    assert text == full[-1].output.choices[0].message.content
    assert pieces[-1].usage == full[-1].usage
    assert pieces[-1].output.choices[0].finish_reason in ("stop", "length")
    prompted = list(generate(model=models[model], prompt="Hello", max_tokens=20, stream=True))
    assert prompted[-1].output.text


def test_what_is_seen_is_told_in_parts(generate, models):
    """On the path for what is seen, content is a list: whole, in pieces, whole so far."""
    asked = {"of": dashscope.MultiModalConversation, "model": models["demo-claude"],
             "messages": SEEN, "max_tokens": 20}  # fmt: skip
    whole = generate(**asked).output.choices[0].message.content[0]["text"]
    for piecewise in (True, False):
        frames = list(generate(stream=True, incremental_output=piecewise, **asked))
        texts = [part["text"] for one in frames for part in one.output.choices[0].message.content]
        assert whole == ("".join(texts) if piecewise else texts[-1])


def test_the_newer_client(client, models):
    """A completion and a stream; of the same words, with the same usage."""
    asked = {"model": models["demo-claude"], "messages": PROMPT, "max_tokens": 20}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(stream=True, **asked))
    assert whole.output_text == "".join(chunk.delta.content or "" for chunk in chunks)
    assert whole.usage == chunks[-1].usage
    assert whole.choices[0].finish_reason == chunks[-1].choices[0].finish_reason


def test_frames_of_dashscope_pass_as_they_are(live: Live, key, models, native):
    """Byte for byte, asked for by the header; the path follows the model that is asked."""
    model, path = models["native-stream"], "/api/v1/services/aigc/text-generation/generation"
    body = {"model": model, "input": {"messages": PROMPT}, "parameters": {"seed": 1}}
    answer = live.post(key, path, body, {"X-DashScope-SSE": "enable"})
    told = [line for line in answer.content.splitlines(True) if not line.startswith(b": tollgate")]
    assert b"".join(FRAMES) == b"".join(told)
    head, sent = native.heads[-1], json.loads(native.last())
    assert b"POST /v1/services/aigc/text-generation/generation " in head
    assert b"x-dashscope-sse: enable" in head.lower()
    assert {"seed": 1, "max_tokens": 1000} == sent["parameters"]
    seen = {"model": models["qwen-vl-native"], "input": {"messages": SEEN}}
    assert BODY == live.post(key, path.replace("text-gen", "multimodal-gen"), seen, {}).content
    assert b"POST /v1/services/aigc/multimodal-generation/generation " in native.heads[-1]


def test_other_sdks_call_a_model_of_dashscope(live: Live, key, models, native):
    """openai and anthropic, unchanged, whole and streamed: text, calls, usage and cost."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    with openai.OpenAI(base_url=f"{live.api_urls[0]}/v1", api_key=key.text) as oai:
        raw = oai.chat.completions.with_raw_response.create(
            model=models["native"], messages=PROMPT, max_tokens=20
        )
        answer = raw.parse()
        assert "Hello" == answer.choices[0].message.content
        assert 4 == answer.usage.prompt_tokens_details.cached_tokens
        receipt = live.receipt(key, raw.headers["x-request-id"]).json()
        assert NANO == receipt["cost_nano_usd"]
        assert 20 == json.loads(native.last())["parameters"]["max_tokens"]
        chunks = list(
            oai.chat.completions.create(
                model=models["native-stream"], messages=PROMPT, stream=True,
                stream_options={"include_usage": True},
            )
        )  # fmt: skip
        text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
        assert ("Hello", answer.usage) == (text, chunks[-1].usage)
        called = oai.chat.completions.create(
            model=models["native-call"], messages=PROMPT, tools=tools
        )
        assert '{"at":1}' == called.choices[0].message.tool_calls[0].function.arguments
    with anthropic.Anthropic(base_url=live.api_urls[0], api_key=key.text) as ant:
        with ant.messages.stream(
            model=models["native-stream"], messages=PROMPT, max_tokens=20
        ) as stream:
            assert "Hello" == "".join(stream.text_stream)
            usage = stream.get_final_message().usage
        assert (8, 4, 3) == (
            usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens
        )  # fmt: skip


def test_errors_are_the_sdks_own(live: Live, key, generate, client, models):
    """Refusals are flat, with DashScope's codes; the newer client raises its own exceptions."""
    cases = {"demo-400": (400, errors.BadRequestError), "demo-429-2": (429, errors.RateLimitError)}
    for name, (status, error) in cases.items():
        answer = generate(model=models[name], messages=PROMPT, max_tokens=5)
        assert (status, True, True) == (answer.status_code, bool(answer.code), bool(answer.message))
        with pytest.raises(error):
            client.chat.completions.create(model=models[name], messages=PROMPT, max_tokens=5)
    missing = generate(model="no-such-model", messages=PROMPT)
    assert (404, "Model.NotExist") == (missing.status_code, missing.code)
    with pytest.raises(errors.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=PROMPT)
    searched = generate(model=models["demo-gpt"], messages=PROMPT, enable_code_interpreter=True)
    assert (400, "InvalidParameter") == (searched.status_code, searched.code)
    poor = live.key(live.tenant(limit_usd=0.0000001))
    answer = dashscope.Generation.call(
        base_address=f"{live.api_urls[0]}/api/v1", api_key=poor.text, model=models["demo-gpt"],
        messages=PROMPT,
    )  # fmt: skip
    assert (402, "Arrearage") == (answer.status_code, answer.code)
    wrong = dashscope.Generation.call(
        base_address=f"{live.api_urls[0]}/api/v1", api_key="sk-nonsense", model="m", messages=PROMPT
    )
    assert (401, "InvalidApiKey") == (wrong.status_code, wrong.code)


@pytest.mark.parametrize("model", ["demo-error-mid", "native-error"])
def test_an_error_in_the_middle_of_a_stream(generate, client, models, model):
    """Both styles see that it failed, and with which status."""
    asked = {"model": models[model], "messages": PROMPT, "max_tokens": 50, "stream": True}
    frames = list(generate(incremental_output=True, result_format="message", **asked))
    assert 200 == frames[0].status_code
    assert frames[-1].status_code >= 429
    assert frames[-1].code
    with pytest.raises(errors.APIStatusError):
        list(client.chat.completions.create(**asked))


def test_an_upstream_that_is_not_there(live: Live, generate):
    """503 in DashScope's words."""
    nobody = live.model("x", DASHSCOPE, base_url=f"http://127.0.0.1:{free_port()}/api/v1")
    answer = generate(model=nobody, messages=PROMPT)
    assert (True, True) == (answer.status_code >= 500, bool(answer.code))
