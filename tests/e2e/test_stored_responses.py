"""The official openai SDK, unchanged, through the whole life of responses that an upstream keeps."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import openai
import pytest

from tests.live import RESPONSES, Key, Live, wait_until

INPUT = "Say hello to the tollgate."


@pytest.fixture(scope="module")
def models(live: Live) -> dict[str, str]:
    """Two models of one account, and one of another."""
    found = live.models({"a": "demo-codex", "b": "demo-long-5"}, RESPONSES)
    return found | {"elsewhere": live.model("demo-codex", RESPONSES)}


@pytest.fixture(scope="module")
def key(live: Live) -> Key:
    return live.key(live.tenant())


@pytest.fixture(scope="module")
def client_of(live: Live) -> Iterator[Any]:
    """Makes a client of a key, at one of the edges."""
    with ExitStack() as stack:
        yield lambda key, edge=0: stack.enter_context(
            openai.OpenAI(
                base_url=f"{live.api_urls[edge]}/v1", api_key=key.text, max_retries=0, timeout=30
            )
        )


def gone(call: Any) -> dict[str, Any]:
    """What a client is told of a response that is not there for it."""
    with pytest.raises(openai.NotFoundError) as refused:
        call()
    body: dict[str, Any] = refused.value.body  # type: ignore[assignment]
    return {name: value for name, value in body.items() if name != "trace_id"}


def not_found(response_id: str) -> dict[str, Any]:
    return {
        "type": "invalid_request_error",
        "code": "response_not_found",
        "message": f"Response with id '{response_id}' not found.",
        "param": None,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_the_whole_life_of_a_response(live: Live, key: Key, models, client_of, stream: bool):
    """Created, retrieved, its input listed, gone on from, deleted, not found: at once, at any edge."""
    one, other = client_of(key, 0), client_of(key, 1)

    def create(**members: Any) -> Any:
        asked = {"model": models["a"], "max_output_tokens": 40, **members}
        if not stream:
            return one.responses.create(**asked)
        with one.responses.stream(**asked) as events:
            for event in events:
                if event.type == "response.completed":
                    # Whoever has read the end finds it.
                    assert event.response.id == other.responses.retrieve(event.response.id).id
            return events.get_final_response()

    first = create(input=INPUT)
    read = other.responses.retrieve(first.id)
    assert (models["a"], first.output_text) == (read.model, read.output_text)
    assert (first.usage, first.created_at) == (read.usage, read.created_at)
    items = other.responses.input_items.list(first.id, limit=5, order="asc").data
    assert [INPUT] == [item.content[0].text for item in items]  # type: ignore[union-attr]

    second = create(input="Once more.", previous_response_id=first.id)
    assert first.id == second.previous_response_id
    assert second.usage.input_tokens > first.usage.total_tokens
    third = create(input="And again.", previous_response_id=second.id)
    assert third.usage.input_tokens > second.usage.total_tokens
    # What was reserved for each covered what its upstream read.
    for transfer in live.transfers(f"key:{key.key_id}"):
        assert transfer.posted_nano_usd <= transfer.reserved_nano_usd

    with pytest.raises(openai.BadRequestError) as refused:
        other.responses.cancel(first.id)
    assert "Cannot cancel a synchronous response." in refused.value.message

    assert other.responses.delete(first.id) is None
    for call in (
        lambda: one.responses.retrieve(first.id),
        lambda: one.responses.delete(first.id),
        lambda: one.responses.cancel(first.id),
        lambda: one.responses.input_items.list(first.id),
    ):
        assert not_found(first.id) == gone(call)
    with pytest.raises(openai.BadRequestError) as refused:
        one.responses.create(model=models["a"], input="x", previous_response_id=first.id)
    body: dict[str, Any] = refused.value.body  # type: ignore[assignment]
    assert ("previous_response_not_found", "previous_response_id") == (body["code"], body["param"])
    assert f"Previous response with id '{first.id}' not found." == body["message"]
    assert second.id == one.responses.retrieve(second.id).id

    digest = hashlib.sha256(first.id.encode()).hexdigest()
    leaves = [json.loads(entry.leaf) for entry in live.entries()]
    deletions = [leaf for leaf in leaves if leaf["payload"].get("response_sha256") == digest]
    assert [("RESPONSE_DELETED", key.tenant_id)] == [(d["kind"], d["tenant"]) for d in deletions]
    assert first.id not in json.dumps(leaves)


def test_a_response_is_seen_by_its_project_alone(live: Live, key: Key, models, client_of):
    """A tenant's keys share; another tenant, a key without the model and a revoked key see nothing."""
    mine = client_of(key).responses.create(model=models["a"], input=INPUT, max_output_tokens=20)
    sister = live.key(key.tenant_id)
    assert mine.id == client_of(sister).responses.retrieve(mine.id).id
    stranger = client_of(live.key(live.tenant()))
    narrow = client_of(live.key(key.tenant_id, allowed_models=[models["b"]]))
    for client in (stranger, narrow):
        responses = client.responses
        for call in (
            lambda r=responses: r.retrieve(mine.id),
            lambda r=responses: r.input_items.list(mine.id),
            lambda r=responses: r.cancel(mine.id),
            lambda r=responses: r.delete(mine.id),
        ):
            assert not_found(mine.id) == gone(call)
        with pytest.raises(openai.BadRequestError) as refused:
            responses.create(model=models["b"], input="x", previous_response_id=mine.id)
        assert "previous_response_not_found" == refused.value.code
    assert not_found("resp_none") == gone(lambda: stranger.responses.retrieve("resp_none"))
    live.revoke(sister)

    def is_refused() -> bool:
        with pytest.raises(openai.AuthenticationError):
            client_of(sister).responses.retrieve(mine.id)
        return True

    wait_until(is_refused, 5)
    assert mine.id == client_of(key).responses.retrieve(mine.id).id


def test_another_model_goes_on_where_the_same_account_serves_it(
    live: Live, key: Key, models, client_of
):
    """At the account that keeps the response; a model of another one is refused, with the reason."""
    client = client_of(key)
    mine = client.responses.create(model=models["a"], input=INPUT, max_output_tokens=20)
    on = client.responses.create(
        model=models["b"], input="Go on.", previous_response_id=mine.id, max_output_tokens=20
    )
    assert on.usage.input_tokens > mine.usage.total_tokens
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(
            model=models["elsewhere"], input="Go on.", previous_response_id=mine.id
        )
    assert "not served by the provider account" in refused.value.message


def test_what_its_client_does_not_want_kept_is_not_there(live: Live, key: Key, models, client_of):
    """store=False: no row of ours, and nothing at the upstream."""
    client = client_of(key)
    mine = client.responses.create(
        model=models["a"], input=INPUT, max_output_tokens=20, store=False
    )
    assert not_found(mine.id) == gone(lambda: client.responses.retrieve(mine.id))
    with live.database("router") as rows:
        found = rows.execute("select 1 from stored_response where response_id = %s", (mine.id,))
        assert found.fetchone() is None


def test_what_is_not_available_says_so(live: Live, key: Key, models, client_of):
    """A stream of an old response, background, conversations and prompts: 400 with the name."""
    client = client_of(key)
    mine = client.responses.create(model=models["a"], input=INPUT, max_output_tokens=20)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.retrieve(mine.id, stream=True)
    assert "stream" == refused.value.param
    for name, value in (
        ("background", True), ("conversation", "conv_1"), ("prompt", {"id": "pmpt_1"}),
    ):  # fmt: skip
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model=models["a"], input="x", **{name: value})
        assert name == refused.value.param


def test_azures_client_manages_what_it_made(live: Live, key: Key, models):
    """It writes its api-version into every query: retrieve, input_items, cancel and delete go on."""
    with openai.AzureOpenAI(
        azure_endpoint=live.api_urls[0],
        api_key=key.text,
        api_version="2025-04-01-preview",
        max_retries=0,
        timeout=30,
    ) as azure:
        mine = azure.responses.create(model=models["a"], input=INPUT, max_output_tokens=20)
        assert mine.id == azure.responses.retrieve(mine.id).id
        assert 1 == len(azure.responses.input_items.list(mine.id, limit=5).data)
        with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
            azure.responses.cancel(mine.id)
        assert azure.responses.delete(mine.id) is None
        assert not_found(mine.id) == gone(lambda: azure.responses.retrieve(mine.id))
