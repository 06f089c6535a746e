"""Responses that an upstream keeps, through the whole of router: entered, gone on from, asked."""

import asyncio
import json

import psycopg
import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tests.contract.router.stores import MemoryStored
from tollgate.audit.v1 import audit_pb2
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_kit.rpc.failure import Failure, store_unavailable

pb = router_pb2
RESPONSES = {
    "client_protocol": pb.CLIENT_PROTOCOL_OPENAI_RESPONSES, "client_wants_usage": True,
    "key_id": "k1",
}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "up", "status": "completed",
    "store": True, "error": None,
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "found", "annotations": []}]}],
    "usage": {"input_tokens": 1_000, "output_tokens": 500, "total_tokens": 1_500},
}  # fmt: skip
PATH = "/v1/responses/resp_1"
ASK = {"trace_id": "trace", "tenant_id": h.TENANT, "key_id": "k1", "response_id": "resp_1"}


def body(**members: object) -> bytes:
    asked = {"model": "m", "max_output_tokens": 100, "input": "hi", **members}
    return json.dumps(asked).encode()


def stream(document: dict, kind: str = "completed") -> h.Script:
    event = {"type": f"response.{kind}", "sequence_number": 1, "response": document}
    frame = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    return [h.sse_head(), h.chunk(frame), h.END_CHUNK]


async def serve(router, up, document: dict = RESPONSE, **provided: object) -> None:
    """A provider of Responses that answers with this, under a name of its own for the model."""
    up.scripts["up"] = h.answer(document)
    await router.provide(
        up.url, protocol=Protocol.OPENAI_RESPONSES, upstream_model="up", **provided
    )


async def ask(router, action: int, **changes: object) -> pb.AskStoredResponse:
    request = pb.AskStoredRequest(**{**ASK, "action": action, **changes})
    return await router.servicer.AskStored(request, None)


async def test_a_response_is_entered_before_its_last_byte(tmp_path):
    """Whole and streamed, completed and incomplete: whose it is, who keeps it, how long it was."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        for number, status in enumerate(("completed", "incomplete")):
            whole = {**RESPONSE, "status": status, "id": f"resp_{number}a"}
            up.scripts["up"] = h.answer(whole)
            await router.call(**RESPONSES, body=body())
            up.scripts["up"] = stream({**whole, "id": f"resp_{number}b"}, status)
            request = router.request(**RESPONSES, stream=True, body=body(stream=True))
            async for message in router.servicer.Execute(request, None):
                if message.HasField("end"):
                    assert f"resp_{number}b" in router.stored.rows
        assert {"resp_0a", "resp_0b", "resp_1a", "resp_1b"} == router.stored.rows.keys()
        for row in router.stored.rows.values():
            assert (h.TENANT, "k1", "p0", "pk-0-0", "up", "m", 1_500) == row[1:8]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({"store": False}, {}),
        ({}, {"store": False}),
        ({}, {"id": "resp_../x"}),
        ({}, {"status": "failed", "error": {"code": "server_error", "message": "no"}}),
    ],
)
async def test_what_is_not_kept_is_not_entered(tmp_path, asked, answered):
    """Its client said no, or its upstream did, or there is no answer."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up, {**RESPONSE, **answered})
        await router.call(**RESPONSES, body=body(**asked))
        assert {} == router.stored.rows


async def test_an_upstream_of_another_protocol_keeps_nothing(tmp_path):
    """Translated answers have ids of ours, which mean nothing to anybody."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        up.scripts["up"] = h.answer()
        await router.provide(up.url, upstream_model="up")
        messages = await router.call(**RESPONSES, body=body())
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        assert {} == router.stored.rows


@pytest.mark.parametrize("usage", [None, {"input_tokens": -1, "output_tokens": 5}, {}])
async def test_a_length_that_was_not_reported_is_not_known(tmp_path, usage):
    """An estimate is no bound: 0 says so, and the model's own limit is reserved."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up, {**RESPONSE, "usage": usage})
        await router.call(**RESPONSES, body=body())
        assert 0 == router.stored.rows["resp_1"].context_tokens


async def test_a_call_goes_on_at_the_account_that_keeps_it(tmp_path):
    """Of several providers and keys that one alone, also when it fails; the client's bytes go up."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        row = router.stored.rows["resp_1"]
        await router.provide(
            up.url, up.url, protocol=Protocol.OPENAI_RESPONSES, upstream_model="up", keys_each=2
        )
        router.stored.rows["resp_1"] = row._replace(provider="p1", provider_key_id="pk-1-1")
        up.scripts["up"] = h.answer({**RESPONSE, "id": "resp_2"})
        going_on = body(previous_response_id="resp_1")
        for _ in range(3):
            (only,) = await router.call(**RESPONSES, body=going_on)
            assert ("p1", "pk-1-1") == (only.route.provider, only.route.provider_key_id)
            assert f"Bearer {h.KEY}-1-1" == up.seen[-1].headers["authorization"]
        assert json.loads(going_on) | {"model": "up"} == json.loads(up.seen[-1].body)
        asked = len(up.seen)
        up.scripts["up"] = h.answer({"error": {"message": "no"}}, 500)
        await router.call(**RESPONSES, body=going_on)
        assert asked + 1 == len(up.seen)


async def test_what_was_said_before_must_be_covered(tmp_path):
    """Router works the bound out itself, with what it knows of the response; an edge is not believed."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        going_on = body(previous_response_id="resp_1")
        alone = len(body()) + 1_000
        for tokens in (alone, 1_500):
            token = router.token(model="m", input_tokens=tokens)
            with pytest.raises(Failure) as refused:
                await router.call(**RESPONSES, body=going_on, reservation_token=token)
            assert "RESERVATION_REFUSED" == refused.value.reason
        token = router.token(model="m", input_tokens=alone + 1_500)
        messages = await router.call(**RESPONSES, body=going_on, reservation_token=token)
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        # Of unknown length: the model's own limit.
        row = router.stored.rows["resp_1"]
        router.stored.rows["resp_1"] = row._replace(context_tokens=0)
        token = router.token(model="m", input_tokens=99_999)
        with pytest.raises(Failure):
            await router.call(**RESPONSES, body=going_on, reservation_token=token)


async def test_what_a_turn_did_not_read_is_reserved_for_the_next(tmp_path):
    """Thinking that one turn leaves out and the next reads; what may be cut off is not known again."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)

        async def context(number: int, read: int, written: int, **members: object) -> int:
            usage = {"input_tokens": read, "output_tokens": written}
            up.scripts["up"] = h.answer({**RESPONSE, "id": f"resp_{number}", "usage": usage})
            await router.call(**RESPONSES, body=body(**members))
            return router.stored.rows[f"resp_{number}"].context_tokens

        assert 51_000 == await context(1, 1_000, 50_000)
        goes_on = {"previous_response_id": "resp_1", "reasoning": {"context": "current_turn"}}
        # 700 for what a vendor adds unasked.
        assert 51_000 + len(body(**goes_on)) + 700 + 100 == await context(2, 1_200, 100, **goes_on)
        assert 90_010 == await context(3, 90_000, 10, previous_response_id="resp_2")
        auto = {"previous_response_id": "resp_3", "truncation": "auto"}
        assert 0 == await context(4, 2_000, 100, **auto)
        assert 0 == await context(5, 2_000, 100, previous_response_id="resp_4")
        assert 0 == await context(6, 2_000, 100, truncation="auto")
        assert 2_100 == await context(7, 2_000, 100, truncation="disabled")


async def test_nobody_goes_on_from_anothers_response(tmp_path):
    """The tenant of the token counts. Unknown, forged, another's: nobody is asked, nothing charged."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        asked = len(up.seen)
        for response_id, tenant in (("resp_1", "tenant-2"), ("resp_2", h.TENANT)):
            messages = await router.call(
                **RESPONSES, tenant_id=tenant, body=body(previous_response_id=response_id),
                reservation_token=router.token(model="m", tenant_id=tenant),
            )  # fmt: skip
            end = end_of(messages)
            error = end.upstream_error
            assert (400, "previous_response_not_found") == (error.http_status, error.code)
            assert f"Previous response with id '{response_id}' not found." == error.scrubbed_message
            assert (0, 0, False) == (end.cost_nano_usd, end.attempts, end.is_unknown)
        with pytest.raises(Failure) as refused:
            await router.call(**RESPONSES, body=body(previous_response_id="resp_1/../x"))
        assert "INVALID_FIELD" == refused.value.reason
        assert asked == len(up.seen)


async def test_find_says_what_a_call_would_read(tmp_path):
    """To its tenant and to keys that may call its model; all others are told of nothing."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up, models=("m", "n"))
        await router.call(**RESPONSES, body=body())

        async def find(**changes: object) -> pb.FindStoredResponse:
            fields = {"tenant_id": h.TENANT, "response_id": "resp_1", "model": "m", **changes}
            return await router.servicer.FindStored(pb.FindStoredRequest(**fields), None)

        assert 1_500 == (await find()).context_tokens
        assert 1_500 == (await find(allowed_models=["m"])).context_tokens
        assert 1_500 == (await find(model="n")).context_tokens  # the same upstream model
        hidden = pb.FindStoredResponse(denial=pb.STORED_DENIAL_NOT_FOUND)
        for changes in (
            {"tenant_id": "t2"}, {"response_id": "resp_2"}, {"allowed_models": ["n"]},
        ):  # fmt: skip
            assert hidden == await find(**changes)
        elsewhere = pb.FindStoredResponse(denial=pb.STORED_DENIAL_MODEL_ELSEWHERE)
        assert elsewhere == await find(model="other")
        for changes in ({"tenant_id": ""}, {"response_id": "resp_../x"}):
            with pytest.raises(Failure) as refused:
                await find(**changes)
            assert "INVALID_FIELD" == refused.value.reason
        router.store.put((), router.store.rows.prices)
        await router.watch.refresh()
        assert pb.STORED_DENIAL_KEY_GONE == (await find()).denial


async def test_each_request_goes_to_who_keeps_the_response(tmp_path):
    """By method, path and query; answers pass under the client's name of the model."""
    listed = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    deleted = {"id": "resp_1", "object": "response", "deleted": True}
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        for action, method, path, query, document, told in (
            (pb.STORED_ACTION_RETRIEVE, "GET", PATH, "include[]=x", RESPONSE,
             {**RESPONSE, "model": "m"}),
            (pb.STORED_ACTION_INPUT_ITEMS, "GET", f"{PATH}/input_items", "limit=2&order=asc",
             listed, listed),
            (pb.STORED_ACTION_DELETE, "DELETE", PATH, "", deleted, deleted),
        ):  # fmt: skip
            up.scripts[path] = h.answer({**document, "x_account": "org-1"})
            answer = await ask(router, action, query=query)
            assert told == json.loads(answer.data)
            seen = up.seen[-1]
            sent = query.replace("[]", "%5B%5D")
            assert (method, f"{path}?{sent}" if sent else path) == (seen.method, seen.path)
            assert (f"Bearer {h.KEY}-0-0", b"") == (seen.headers["authorization"], seen.body)
        # Deleted there, so it is not known here.
        assert {} == router.stored.rows
        assert pb.STORED_DENIAL_NOT_FOUND == (await ask(router, pb.STORED_ACTION_RETRIEVE)).denial


async def test_nobody_asks_about_anothers_response(tmp_path):
    """Another tenant, a key without the model, a forged id, a query off the list: nobody is asked."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        asked = len(up.seen)
        hidden = pb.AskStoredResponse(denial=pb.STORED_DENIAL_NOT_FOUND)
        for action in pb.StoredAction.values()[1:]:
            for changes in (
                {"tenant_id": "t2"}, {"response_id": "resp_2"}, {"allowed_models": ["n"]},
            ):  # fmt: skip
                assert hidden == await ask(router, action, **changes)
            for changes in (
                {"tenant_id": ""}, {"response_id": "resp_1/cancel"}, {"trace_id": ""},
                {"query": "stream=true"}, {"query": "x"}, {"action": 0},
            ):  # fmt: skip
                with pytest.raises(Failure) as refused:
                    await ask(router, **{"action": action, **changes})
                assert "INVALID_FIELD" == refused.value.reason
        assert (asked, []) == (len(up.seen), router.evidence.entries)


async def test_a_deletion_is_in_the_log_before_its_upstream_is_asked(tmp_path):
    """Tenant, key and a digest of the id; without audit nobody is asked, and the row stays."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        asked = len(up.seen)
        router.evidence.away = True
        with pytest.raises(Failure) as refused:
            await ask(router, pb.STORED_ACTION_DELETE)
        assert "AUDIT_NOT_DURABLE" == refused.value.reason
        assert (asked, {"resp_1"}) == (len(up.seen), router.stored.rows.keys())
        router.evidence.away = False

        def script() -> h.Script:
            assert 1 == len(router.evidence.entries)
            return h.answer({"error": {"message": f"no {h.KEY}-0-0", "code": "x"}}, 404)

        up.scripts[PATH] = script
        answer = await ask(router, pb.STORED_ACTION_DELETE)
        assert 404 == answer.upstream_error.http_status
        assert {"resp_1"} == router.stored.rows.keys()
        ((kind, entry),) = router.evidence.entries
        assert audit_pb2.ENTRY_KIND_RESPONSE_DELETED == kind
        assert (h.TENANT, "trace", "p0", "m", 64) == (
            entry["tenant_id"], entry["trace_id"], entry["provider"], entry["model"],
            len(entry["response_sha256"]),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        (h.answer({"error": {"message": f"see {h.KEY}-0-0", "code": "x"}}, 404), 404, "ERROR"),
        (h.answer({"error": {"message": "canary-words"}}, 401), 401, "ERROR"),
        (h.answer({"error": {"message": "canary-words"}}, 500), 500, "ERROR"),
        (h.answer({**RESPONSE, "output": [{"type": "message", "id": f"{h.KEY}-0-0"}]}), 0, "ERROR"),
        (h.answer({"error": {"message": "canary-words"}}), 0, "ERROR"),
        ([h.http(200, b"<html>canary-words</html>", "text/html")], 0, "ERROR"),
        ([h.http(200, b"x" * 40_000)], 0, "ERROR"),
        ([h.http(302, b"", extra="location: http://elsewhere/\r\n")], 302, "ERROR"),
        ([h.Reset()], 0, "ERROR"),
        ([h.Pause(3)], 0, "TIMEOUT"),
    ],
)
async def test_nothing_of_an_upstream_passes_that_may_not(tmp_path, script, status, reason):
    """Keys, other words and other shapes stay here; a silent upstream is not waited for."""
    fast = h.UpstreamConfig(first_byte_ms=500, idle_ms=500, total_ms=900, answer_bytes_max=30_000)
    async with fake_upstream() as up, harness(tmp_path, upstream=fast) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        up.scripts[PATH] = script
        answer = await ask(router, pb.STORED_ACTION_RETRIEVE)
        printed = str(answer) + router.out.getvalue()
        assert (b"", status) == (answer.data, answer.upstream_error.http_status)
        assert pb.EndReason.Value(f"END_REASON_UPSTREAM_{reason}") == answer.reason
        for secret in (h.KEY, "canary-words", "elsewhere", "html"):
            assert secret not in printed


class Away(MemoryStored):
    """A store without its database."""

    async def put(self, responses):
        raise psycopg.OperationalError("gone")

    async def find(self, tenant_id, response_id, *, now_ms):
        raise store_unavailable("postgres")


async def test_without_the_store_answers_go_out_and_questions_are_ours_to_fail(tmp_path):
    """The answer is the client's; what cannot be looked up is 503, never "not found"."""
    async with fake_upstream() as up, harness(tmp_path, stored=Away()) as router:
        await serve(router, up)
        async with asyncio.timeout(2):
            messages = await router.call(**RESPONSES, body=body())
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        asked = len(up.seen)
        for question in (
            ask(router, pb.STORED_ACTION_RETRIEVE),
            router.call(**RESPONSES, body=body(previous_response_id="resp_1")),
        ):
            with pytest.raises(Failure) as failed:
                await question
            assert "STORE_UNAVAILABLE" == failed.value.reason
        assert asked == len(up.seen)


async def test_a_key_that_is_refused_to_calls_is_not_asked(tmp_path):
    """A question cannot open it again; its client is told that the provider is of no use."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up)
        await router.call(**RESPONSES, body=body())
        up.scripts |= {"up": h.answer({}, 401), PATH: h.answer(RESPONSE)}
        await router.call(**RESPONSES, body=body())
        asked = len(up.seen)
        answer = await ask(router, pb.STORED_ACTION_RETRIEVE)
        assert (pb.END_REASON_UPSTREAM_ERROR, 0) == (
            answer.reason, answer.upstream_error.http_status
        )  # fmt: skip
        assert asked == len(up.seen)


@pytest.mark.parametrize(
    "script", [[h.Reset()], [h.Close()], h.answer({**RESPONSE, "output": [{"id": f"{h.KEY}-0-0"}]})]
)
async def test_a_question_that_breaks_leaves_the_key_to_calls(tmp_path, script):
    """No connection, a cut, the key in the answer: the first key is asked first all the same."""
    async with fake_upstream() as up, harness(tmp_path) as router:
        await serve(router, up, keys_each=2)
        row = (await router.call(**RESPONSES, body=body()))[0].route
        up.scripts[PATH] = script
        assert not (await ask(router, pb.STORED_ACTION_RETRIEVE)).data
        (message,) = await router.call(**RESPONSES, body=body())
        assert row.provider_key_id == message.route.provider_key_id
