"""What a client was told stays true: a stored response outlives a kill -9 of router at once."""

from pathlib import Path

import openai
import pytest

from tests.integration.trust.test_stores import without_database
from tests.live import RESPONSES, Live, own_suite, wait_until


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory):
    """A suite of its own: this module kills its router."""
    with own_suite(tmp_path_factory.mktemp("stored") / "home") as live:
        yield live


@pytest.fixture(scope="module")
def client(own: Live):
    url, key = f"{own.api_urls[0]}/v1", own.key(own.tenant())
    with openai.OpenAI(base_url=url, api_key=key.text, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-codex", RESPONSES)


def test_a_kill_between_two_turns_loses_nothing(own: Live, client: openai.OpenAI, model: str):
    """Router dies right behind the last byte, streamed and not: the next turn finds the response."""
    for round_number in range(4):
        if round_number % 2:
            with client.responses.stream(model=model, input="Hi", max_output_tokens=60) as events:
                first = events.get_final_response()
        else:
            first = client.responses.create(model=model, input="Hi", max_output_tokens=60)
        own.suite.kill("router")
        own.suite.start_one("router")

        def next_turn(first=first) -> bool:
            try:
                on = client.responses.create(
                    model=model, input="On", previous_response_id=first.id, max_output_tokens=60
                )
            except openai.InternalServerError:  # router is on its way back
                return False
            return bool(
                on.usage and first.usage and on.usage.input_tokens > first.usage.total_tokens
            )

        wait_until(next_turn, 20)


def test_without_the_store_answers_go_out_and_nothing_is_taken_for_unknown(
    own: Live, client: openai.OpenAI, model: str, tmp_path: Path
):
    """Router's database is away: calls go on; what was stored is 503 until it is back, never 404."""
    first = client.responses.create(model=model, input="Hi", max_output_tokens=60)
    with without_database(own, "router"):
        answered = client.responses.create(model=model, input="Hi", max_output_tokens=60)
        assert answered.output_text
        for call in (
            lambda: client.responses.retrieve(first.id),
            lambda: client.responses.create(model=model, input="x", previous_response_id=first.id),
        ):
            with pytest.raises(openai.InternalServerError) as failed:
                call()
            assert 503 == failed.value.status_code

    def is_back() -> bool:
        try:
            return client.responses.retrieve(first.id).id == first.id
        except openai.InternalServerError:
            return False

    wait_until(is_back, 15)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answered.id)
