"""What an upstream's answer or refusal means to router, over a real HTTP connection."""

import json

import pytest
from prometheus_client import generate_latest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tests.contract.router.test_stored_responses import RESPONSES, body
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol

pb = router_pb2
LOW = "Your credit balance is too low to access the Anthropic API."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
EMPTY = [
    (402, {"error": {"message": "Insufficient Balance"}}),
    (400, {"error": {"message": LOW, "type": "invalid_request_error"}}),
    (429, {"error": {"message": QUOTA, "code": "insufficient_quota"}}),
    (400, {"code": "Arrearage", "message": "Access denied"}),
]


@pytest.mark.parametrize(("status", "document"), EMPTY)
async def test_case_P9_an_empty_account_sends_the_call_to_the_next_provider(
    tmp_path, status, document
):
    """The customer gets an answer, the operator an alarm, and the key rests."""
    async with fake_upstream() as bad, fake_upstream() as good, harness(tmp_path) as router:
        bad.scripts["m"] = h.answer(document, status)
        good.scripts["m"] = h.answer()
        await router.provide(bad.url, good.url)
        messages = await router.call()
        assert (pb.END_REASON_COMPLETED, 2) == (end_of(messages).reason, end_of(messages).attempts)
        await router.call()
        assert (1, 2) == (len(bad.seen), len(good.seen))
        (alarm,) = router.logged("provider_key.out_of_funds")
        assert ("p0", "pk-0-0", status) == (
            alarm["provider"], alarm["key_id"], alarm["upstream_status"],
        )  # fmt: skip
        shown = generate_latest(router.metrics.registry).decode()
        assert (
            'tollgate_provider_keys_out_of_funds_total{provider="p0",service="router"} 1.0' in shown
        )


@pytest.mark.parametrize(("status", "document"), EMPTY)
async def test_case_P9_nobody_reads_the_vendors_words_about_the_operators_account(
    tmp_path, status, document
):
    """With no other provider: status 402 goes to the edge, and not one word."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(document, status)
        await router.provide(up.url)
        error = end_of(await router.call()).upstream_error
        assert (402, "", "") == (error.http_status, error.scrubbed_message, error.code)


@pytest.mark.parametrize(("first", "second", "told"), [(402, 500, 500), (500, 402, 500),
                                                       (401, 402, 402), (429, 401, 429)])  # fmt: skip
async def test_case_P10_what_may_pass_is_told_rather_than_what_only_the_operator_can_mend(
    tmp_path, first, second, told
):
    """A client tries again as long as one of the providers may recover."""
    async with fake_upstream() as one, fake_upstream() as two, harness(tmp_path) as router:
        one.scripts["m"] = h.answer({}, first)
        two.scripts["m"] = h.answer({}, second)
        await router.provide(one.url, two.url)
        assert told == end_of(await router.call()).upstream_error.http_status
        assert (1, 1) == (len(one.seen), len(two.seen))


SEALED = {"message": "The encrypted content gAAA...DQ== could not be verified.",
          "type": "invalid_request_error", "param": None, "code": "invalid_encrypted_content"}  # fmt: skip
NO_ITEM = {"message": "Item with id 'rs_1' not found. Items are not persisted when `store` is set "
           "to false.", "type": "invalid_request_error", "param": "input", "code": None}  # fmt: skip


@pytest.mark.parametrize(("status", "error"), [(400, SEALED), (404, NO_ITEM)])
@pytest.mark.parametrize(("first", "told"), [(429, 429), (503, 503), (401, 0)])
async def test_an_account_that_cannot_read_anothers_conversation_does_not_end_it(
    tmp_path, status, error, first, told
):
    """The one that can is full or down: that is what passes. Alone, or after a dead key: as it is."""
    async with fake_upstream() as one, fake_upstream() as two, harness(tmp_path) as router:
        one.scripts["up"] = h.answer({}, first, extra="retry-after: 20\r\n")
        two.scripts["up"] = h.answer({"error": error}, status)
        responses = {"protocol": Protocol.OPENAI_RESPONSES, "upstream_model": "up"}
        await router.provide(two.url, **responses)
        alone = end_of(await router.call(**RESPONSES, body=body(store=False)))
        assert (status, 1) == (alone.upstream_error.http_status, alone.attempts)
        assert alone.upstream_error.scrubbed_message
        await router.provide(one.url, two.url, **responses)
        end = end_of(await router.call(**RESPONSES, body=body(store=False)))
        assert (told or status, 2) == (end.upstream_error.http_status, end.attempts)
        if told:
            assert 20 == end.upstream_error.retry_after.seconds
        # While it is left alone only the other one is asked.
        again = end_of(await router.call(**RESPONSES, body=body(store=False)))
        assert (429 if told else status, 1) == (again.upstream_error.http_status, again.attempts)


async def test_case_P2_a_stream_without_its_last_event_completes(tmp_path):
    """finish_reason, usage and a clean end: the end is supplied, the reported usage is charged."""
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    frames = h.openai_frame("one") + b"data: " + json.dumps(last).encode() + b"\n\n"
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = [h.sse_head() + h.chunk(frames + h.USAGE_FRAME) + h.END_CHUNK]
        await router.provide(up.url)
        messages = await router.call(stream=True)
        assert frames + h.DONE == b"".join(message.data for message in messages)
        assert (pb.END_REASON_COMPLETED, 20_000) == (
            end_of(messages).reason, end_of(messages).cost_nano_usd,
        )  # fmt: skip
        # Two choices were asked for: the second never began, and no report closed the answer.
        up.scripts["m"] = [h.sse_head() + h.chunk(frames) + h.END_CHUNK]
        asked = {"model": "m", "stream": True, "max_tokens": 100, "n": 2, "messages": []}
        messages = await router.call(stream=True, body=json.dumps(asked).encode())
        end = end_of(messages)
        assert (pb.END_REASON_UPSTREAM_ERROR, True) == (end.reason, end.is_unknown)


async def test_case_R1_metadata_of_an_upstream_neither_ends_a_stream_nor_pays_for_one(tmp_path):
    """The stream around it is charged as reported; alone, it leaves the cost unknown."""
    metadata = b'data: {"id":"trace","object":"hook_results","hook_results":{"host":"gpu-1"}}\n\n'
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    frames = h.openai_frame("one") + b"data: " + json.dumps(last).encode() + b"\n\n"
    async with fake_upstream() as up, harness(tmp_path) as router:
        answer = metadata + frames + h.USAGE_FRAME + metadata + h.DONE
        up.scripts["m"] = [h.sse_head() + h.chunk(answer) + h.END_CHUNK]
        await router.provide(up.url)
        messages = await router.call(stream=True)
        assert frames + h.DONE == b"".join(message.data for message in messages)
        end = end_of(messages)
        assert (pb.END_REASON_COMPLETED, 20_000) == (end.reason, end.cost_nano_usd)
        for alone in (metadata, metadata + h.DONE):
            up.scripts["m"] = [h.sse_head() + h.chunk(alone) + h.END_CHUNK]
            messages = await router.call(stream=True)
            end = end_of(messages)
            assert (pb.END_REASON_UPSTREAM_ERROR, True) == (end.reason, end.is_unknown)
            assert b"" == b"".join(message.data for message in messages)


@pytest.mark.parametrize("document", [{"object": "error", "message": "at gpu-1:80"},
                                      {"detail": "at gpu-1:80"}, {"errors": [{"message": "x"}]},
                                      {"choices": [{"error": {"message": "at gpu-1:80"}}]}])  # fmt: skip
async def test_case_R1_a_200_that_is_no_answer_is_refused(tmp_path, document):
    """Nothing of it is in the only message."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["m"] = h.answer(document)
        await router.provide(up.url)
        (message,) = await router.call()
        assert (pb.END_REASON_UPSTREAM_ERROR, b"") == (message.end.reason, message.data)
        assert b"gpu-1" not in message.SerializeToString()


async def test_trust_59_an_odd_report_is_marked_in_the_calls_log_line(tmp_path):
    """Impossible counts, or far too few for the text: said of streams and of others, only then."""
    bad = {**h.USAGE, "completion_tokens": -1}
    frames = h.openai_frame("x" * 5_000) + h.USAGE_FRAME + h.DONE
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url)
        for script, stream in (
            (h.answer(), False),
            (h.answer({**h.ANSWER, "usage": bad}), False),
            ([h.sse_head() + h.chunk(frames) + h.END_CHUNK], True),
        ):
            up.scripts["m"] = script
            await router.call(stream=stream)
        flags = [line.get("usage_flag") for line in router.logged("call.executed")]
        assert [None, "implausible", "below_output"] == flags


async def test_an_upstream_that_refuses_include_usage_is_not_asked_for_usage(tmp_path):
    """It is charged by what it reports anyway, else by the estimate."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, without_include_usage=True)
        for frames, source in (
            (h.USAGE_FRAME, pb.USAGE_SOURCE_UPSTREAM), (b"", pb.USAGE_SOURCE_ESTIMATED),
        ):  # fmt: skip
            answer = h.openai_frame("one") + frames + h.DONE
            up.scripts["m"] = [h.sse_head() + h.chunk(answer) + h.END_CHUNK]
            end = end_of(await router.call(stream=True))
            assert (pb.END_REASON_COMPLETED, source) == (end.reason, end.usage_source)
            assert not end.is_unknown
            assert "stream_options" not in json.loads(up.seen[-1].body)


async def test_issue_7_a_client_reads_the_models_name_as_it_asked_for_it(tmp_path):
    """A model that has another name upstream answers under its own, whole and in a stream."""
    named = {**h.ANSWER, "model": "upstream-name-2026-01-01"}
    frame = h.openai_frame("hi").replace(b"data: {", b'data: {"model": "upstream-name", ')
    done = h.openai_frame("hi").replace(b'"delta"', b'"finish_reason": "stop", "delta"')
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url, upstream_model="upstream-name")
        up.scripts["upstream-name"] = h.answer(named)
        (message,) = await router.call()
        assert {**named, "model": "m"} == json.loads(message.data)
        stream = frame + frame + done + b"data: [DONE]\n\n"
        up.scripts["upstream-name"] = [h.sse_head() + h.chunk(stream) + h.END_CHUNK]
        told = b"".join(message.data for message in await router.call(stream=True))
        assert stream.replace(b'"upstream-name"', b'"m"') == told


async def test_a_model_of_the_upstreams_own_name_answers_byte_for_byte(tmp_path):
    """Where the names are the same an upstream may answer with the exact version."""
    dated = {**h.ANSWER, "model": "m-2026-01-01"}
    async with fake_upstream() as up, harness(tmp_path) as router:
        await router.provide(up.url)
        up.scripts["m"] = h.answer(dated)
        (message,) = await router.call()
        assert json.dumps(dated).encode() == message.data
