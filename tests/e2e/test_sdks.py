"""The official SDKs, unchanged: only base URL and key are ours."""

import anthropic
import httpx
import openai
import pytest

from tests.live import ANTHROPIC, OPENAI, Live

PROMPT = [{"role": "user", "content": "Say hello to the tollgate."}]


@pytest.fixture(scope="module")
def key(live: Live):
    return live.key(live.tenant())


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


@pytest.fixture(scope="module")
def gpt(live: Live):
    names = ("demo-gpt", "demo-400", "demo-429-2", "demo-500-key", "demo-error-mid")
    return live.models({name: name for name in names}, OPENAI)


@pytest.fixture(scope="module")
def claude(live: Live):
    names = ("demo-claude", "demo-400", "demo-429-2", "demo-500-key", "demo-error-mid")
    return live.models({name: name for name in names}, ANTHROPIC)


def test_openai_call(live: Live, key, oai, gpt):
    """openai: a plain call returns text and usage, and its headers carry cost and trace."""
    raw = oai.chat.completions.with_raw_response.create(
        model=gpt["demo-gpt"], messages=PROMPT, max_tokens=20
    )
    answer = raw.parse()
    usage = answer.usage
    assert (True, "assistant") == (
        bool(answer.choices[0].message.content),
        answer.choices[0].message.role,
    )
    assert (str(usage.prompt_tokens), str(usage.completion_tokens)) == (
        raw.headers["x-tollgate-usage-input-tokens"],
        raw.headers["x-tollgate-usage-output-tokens"],
    )
    # $1 a million in, $2 out, one ceil to nano-USD.
    nano = usage.prompt_tokens * 1000 + usage.completion_tokens * 2000
    receipt = live.receipt(key, raw.headers["x-request-id"]).json()
    assert nano == receipt["cost_nano_usd"]


def test_openai_stream_has_usage_only_when_asked(oai, gpt):
    """openai: a stream gives text; its usage chunk is there exactly when the client asked."""
    for asked in (False, True):
        options = {"stream_options": {"include_usage": True}} if asked else {}
        chunks = list(
            oai.chat.completions.create(
                model=gpt["demo-gpt"], messages=PROMPT, max_tokens=20, stream=True, **options
            )
        )
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert (True, asked) == (bool(text), any(c.usage for c in chunks))
        assert {c.choices[0].finish_reason for c in chunks if c.choices} & {"stop", "length"}


def test_openai_stream_helper_accumulates(oai, gpt):
    """openai: fields we do not know about pass, and the stream helper accumulates."""
    with oai.chat.completions.stream(
        model=gpt["demo-gpt"], messages=PROMPT, max_tokens=400, temperature=0.1, user="u"
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content


def test_anthropic_call(live: Live, key, ant, claude):
    """anthropic: a plain call returns text and usage, and its headers carry cost and trace."""
    raw = ant.messages.with_raw_response.create(
        model=claude["demo-claude"], messages=PROMPT, max_tokens=20
    )
    answer = raw.parse()
    assert answer.content[0].text
    nano = answer.usage.input_tokens * 1000 + answer.usage.output_tokens * 2000
    assert nano == live.receipt(key, raw.headers["x-request-id"]).json()["cost_nano_usd"]


def test_the_sdks_read_what_is_left_of_the_keys_rates(live: Live, gpt, claude):
    """openai, anthropic: with_raw_response has each vendor's headers, and so has their 429."""
    key = live.key(live.tenant(), requests_per_minute=2, tokens_per_minute=90_000)
    url = live.api_urls[0]
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key.text, max_retries=0) as oai:
        raw = oai.chat.completions.with_raw_response.create(
            model=gpt["demo-gpt"], messages=PROMPT, max_tokens=20
        )
        assert ("2", "1") == (
            raw.headers["x-ratelimit-limit-requests"],
            raw.headers["x-ratelimit-remaining-requests"],
        )
        assert raw.headers["x-ratelimit-reset-requests"] in {"30s", "30.001s"}
        # After the reservation: of the prompt and of the whole limit of the answer.
        assert 20 < 90_000 - int(raw.headers["x-ratelimit-remaining-tokens"]) < 1_000
        with anthropic.Anthropic(base_url=url, api_key=key.text, max_retries=0) as ant:
            raw = ant.messages.with_raw_response.create(
                model=claude["demo-claude"], messages=PROMPT, max_tokens=20
            )
            assert ("2", "0") == (
                raw.headers["anthropic-ratelimit-requests-limit"],
                raw.headers["anthropic-ratelimit-requests-remaining"],
            )
            assert raw.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
            with pytest.raises(anthropic.RateLimitError) as limited:
                ant.messages.create(model=claude["demo-claude"], messages=PROMPT, max_tokens=20)
        headers = limited.value.response.headers
        assert "0" == headers["anthropic-ratelimit-requests-remaining"]
        assert 0 < int(headers["retry-after"]) <= 31


def test_case_P18_the_sdk_counts_tokens(ant, claude):
    """anthropic: messages.count_tokens gives a number, which tools make larger."""
    tool = {"name": "t", "description": "d", "input_schema": {"type": "object", "properties": {}}}
    plain, tools = (
        ant.messages.count_tokens(model=claude["demo-claude"], messages=PROMPT, **more).input_tokens
        for more in ({}, {"tools": [tool]})
    )
    assert 0 < plain < 100 < tools


def test_anthropic_stream(ant, claude):
    """anthropic: the stream helper accumulates the final message with its usage."""
    with ant.messages.stream(model=claude["demo-claude"], messages=PROMPT, max_tokens=20) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert (text, True) == (final.content[0].text, final.usage.output_tokens > 0)


def test_the_models_list_has_the_shape_the_caller_speaks(oai, ant, gpt, claude):
    """GET /v1/models parses in both SDKs and holds what can be called: all; so does one model."""
    for client in (oai, ant):
        listed = {m.id for m in client.models.list()}
        for name in (gpt["demo-gpt"], claude["demo-claude"]):
            assert name in listed
            assert name == client.models.retrieve(name).id


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("demo-400", "BadRequestError"),
        ("demo-429-2", "RateLimitError"),
        ("demo-500-key", "InternalServerError"),
    ],
)
def test_upstream_errors_become_the_sdks_own_exceptions(oai, ant, gpt, claude, model, error):
    """An upstream's refusal arrives as the class that client code catches, in both SDKs."""
    with pytest.raises(getattr(openai, error)) as caught:
        oai.chat.completions.create(model=gpt[model], messages=PROMPT, max_tokens=5)
    assert caught.value.body["trace_id"]
    with pytest.raises(getattr(anthropic, error)) as caught:
        ant.messages.create(model=claude[model], messages=PROMPT, max_tokens=5)
    assert caught.value.body["error"]["trace_id"]


def test_errors_inside_a_stream_raise_in_both_sdks(oai, ant, gpt, claude):
    """An upstream that fails mid-stream raises in the client; it does not look like an end."""
    with pytest.raises(openai.APIError):
        list(oai.chat.completions.create(
            model=gpt["demo-error-mid"], messages=PROMPT, max_tokens=50, stream=True
        ))  # fmt: skip
    with (
        pytest.raises(anthropic.APIError),
        ant.messages.stream(
            model=claude["demo-error-mid"], messages=PROMPT, max_tokens=50
        ) as stream,
    ):
        list(stream)


def test_wrong_key_unknown_model_and_no_money(live: Live, oai, ant, gpt):
    """401 only for a bad key, 404 for an unknown model, 402 for money and no retry of it."""
    with (
        openai.OpenAI(base_url=f"{live.api_urls[0]}/v1", api_key="sk-nonsense", max_retries=0) as c,
        pytest.raises(openai.AuthenticationError),
    ):
        c.chat.completions.create(model=gpt["demo-gpt"], messages=PROMPT)
    with pytest.raises(openai.NotFoundError):
        oai.chat.completions.create(model="no-such-model", messages=PROMPT)
    with pytest.raises(anthropic.NotFoundError):
        ant.messages.create(model="no-such-model", messages=PROMPT, max_tokens=5)
    poor = live.key(live.tenant(limit_usd=0.0000001))
    # max_retries is left at its default: a 402 must not be retried by the SDK itself.
    rich_in_retries = openai.OpenAI(base_url=f"{live.api_urls[0]}/v1", api_key=poor.text)
    with rich_in_retries as c, pytest.raises(openai.APIStatusError) as caught:
        c.chat.completions.create(model=gpt["demo-gpt"], messages=PROMPT, max_tokens=100)
    assert (402, "false") == (
        caught.value.status_code, caught.value.response.headers["x-should-retry"],
    )  # fmt: skip


def test_case_P6_the_tool_runner_goes_on_without_a_thread(ant, claude):
    """anthropic: the tool runner asks for a thread by default, and finishes all the same."""
    runner = ant.beta.messages.tool_runner(
        model=claude["demo-claude"], messages=PROMPT, max_tokens=20, tools=[]
    )
    assert runner.until_done().content[0].text


def test_case_P14_a_beta_that_was_dropped_is_named(ant, claude):
    """anthropic: 40 flags go upstream; the one that would change the price does not, and is named."""
    raw = ant.beta.messages.with_raw_response.create(
        model=claude["demo-claude"], messages=PROMPT, max_tokens=20,
        betas=["context-1m-2025-08-07", *(f"flag-{number}" for number in range(40))],
    )  # fmt: skip
    assert "context-1m-2025-08-07" == raw.headers["x-tollgate-dropped-betas"]


def test_openai_calls_a_model_of_anthropic(live: Live, key, oai, claude):
    """openai, unchanged, on an upstream of messages: text, usage and cost, whole and streamed."""
    raw = oai.chat.completions.with_raw_response.create(
        model=claude["demo-claude"], messages=PROMPT, max_tokens=20
    )
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert claude["demo-claude"] == answer.model
    nano = answer.usage.prompt_tokens * 1000 + answer.usage.completion_tokens * 2000
    receipt = live.receipt(key, raw.headers["x-request-id"]).json()
    assert nano == receipt["cost_nano_usd"]
    chunks = list(
        oai.chat.completions.create(
            model=claude["demo-claude"],
            messages=PROMPT,
            max_tokens=20,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert answer.choices[0].message.content == text
    assert answer.usage == chunks[-1].usage


def test_anthropic_calls_a_model_of_openai(live: Live, key, ant, gpt):
    """anthropic, unchanged, on an upstream of chats: text, usage and cost, whole and streamed."""
    raw = ant.messages.with_raw_response.create(
        model=gpt["demo-gpt"], messages=PROMPT, max_tokens=20, extra_body={"top_k": 3}
    )
    answer = raw.parse()
    assert "top_k" == raw.headers["x-tollgate-dropped"]
    assert answer.stop_reason in ("end_turn", "max_tokens")
    nano = answer.usage.input_tokens * 1000 + answer.usage.output_tokens * 2000
    assert nano == live.receipt(key, raw.headers["x-request-id"]).json()["cost_nano_usd"]
    with ant.messages.stream(model=gpt["demo-gpt"], messages=PROMPT, max_tokens=20) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert (answer.content[0].text, answer.usage.output_tokens, answer.usage.input_tokens) == (
        text, final.usage.output_tokens, final.usage.input_tokens
    )  # fmt: skip


def test_an_error_in_the_middle_is_told_in_the_clients_protocol(oai, ant, gpt, claude):
    """Each SDK raises its own error, whatever protocol its upstream speaks."""
    with pytest.raises(openai.APIError):
        list(
            oai.chat.completions.create(
                model=claude["demo-error-mid"], messages=PROMPT, max_tokens=50, stream=True
            )
        )
    with (
        pytest.raises(anthropic.APIError),
        ant.messages.stream(model=gpt["demo-error-mid"], messages=PROMPT, max_tokens=50) as stream,
    ):
        stream.get_final_message()


def test_what_a_protocol_cannot_say_is_refused_with_its_name(oai, claude):
    """Two answers at once: no upstream of messages gives them, and nobody is charged."""
    with pytest.raises(openai.BadRequestError) as refused:
        oai.chat.completions.create(model=claude["demo-claude"], messages=PROMPT, n=2)
    assert ("n", "unsupported_parameter") == (refused.value.param, refused.value.code)
    assert "0" == refused.value.response.headers["x-tollgate-cost-usd"]


@pytest.mark.parametrize("upstream", ["gpt", "claude"])
def test_openai_asks_for_a_response(live: Live, key, oai, gpt, claude, upstream):
    """openai's Responses on upstreams of chats and messages: text, usage and cost, both ways."""
    model = gpt["demo-gpt"] if upstream == "gpt" else claude["demo-claude"]
    raw = oai.responses.with_raw_response.create(
        model=model, input="Say hello.", instructions="Be brief.", max_output_tokens=20, store=False
    )
    answer = raw.parse()
    assert (True, model) == (bool(answer.output_text), answer.model)
    nano = answer.usage.input_tokens * 1000 + answer.usage.output_tokens * 2000
    assert nano == live.receipt(key, raw.headers["x-request-id"]).json()["cost_nano_usd"]
    events = list(
        oai.responses.create(
            model=model,
            input="Say hello.",
            instructions="Be brief.",
            max_output_tokens=20,
            store=False,
            stream=True,
        )
    )
    assert "response.created" == events[0].type
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert answer.output_text == events[-1].response.output_text
    assert answer.usage == events[-1].response.usage
    assert list(range(len(events))) == [event.sequence_number for event in events]


def test_tools_that_run_at_the_vendor_are_left_out_and_named(oai, gpt):
    """Codex declares web search in every request: it is answered without, and told so."""
    raw = oai.responses.with_raw_response.create(
        model=gpt["demo-gpt"],
        input="Say hello.",
        tools=[{"type": "web_search"}],
        max_output_tokens=20,
    )
    assert "tools.web_search" in raw.headers["x-tollgate-dropped"]


def test_azures_client_calls_a_deployment(live: Live, key, gpt, claude):
    """openai's Azure client: a deployment is a model; whole, streamed, of any upstream's protocol."""
    with openai.AzureOpenAI(
        azure_endpoint=live.api_urls[0],
        api_key=key.text,
        api_version="2025-04-01-preview",
        max_retries=0,
    ) as azure:
        for name in (gpt["demo-gpt"], claude["demo-claude"]):
            answer = azure.chat.completions.create(model=name, messages=PROMPT, max_tokens=20)
            assert (name, True) == (answer.model, bool(answer.choices[0].message.content))
            stream = azure.chat.completions.create(
                model=name, messages=PROMPT, max_tokens=20, stream=True
            )
            assert {name} == {chunk.model for chunk in stream}
            # As in Azure's own examples, the body need not name it, or names another.
            for named in ({}, {"model": "x"}):
                answer = azure.post(
                    f"/deployments/{name}/chat/completions",
                    cast_to=httpx.Response,
                    body={"messages": PROMPT, "max_tokens": 20, **named},
                )
                assert (200, name) == (answer.status_code, answer.json()["model"])
