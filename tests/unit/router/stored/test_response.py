"""Who may see a stored response, and what a call keeps to that goes on from it."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.router.providers.test_catalogue import price, provider
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage
from tollgate_dialects.request import close_bound
from tollgate_dialects.request import request as requests
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.tokens import calibration as calibrations
from tollgate_router.call import Account
from tollgate_router.providers import catalogue
from tollgate_router.providers.catalogue import ProviderModel
from tollgate_router.stored.response import (
    Denial,
    GoesOn,
    StoredResponse,
    continued,
    kept_tokens,
    visible,
)

RESPONSES = Protocol.OPENAI_RESPONSES
MODELS = (ProviderModel("m", "up-m"), ProviderModel("alias", "up-m"), ProviderModel("n", "up-n"))
STORED = StoredResponse("resp_1", "t", "k", "a", "a-2", "up-m", "m", 500, 1)


def build(**changes: object) -> catalogue.Snapshot:
    """Two providers of the same models."""
    made = [provider(name, protocol=RESPONSES, models=MODELS) for name in ("a", "b")]
    made[0] = replace(made[0], **changes)
    prices = [price(served.model) for served in MODELS]
    return catalogue.build(revision=1, providers=made, prices=prices, allow_private=False)


def test_none_and_one_that_the_key_may_not_call_are_told_alike():
    """A model off the key's list hides its responses; a key without a list sees all."""
    assert Denial.NOT_FOUND is visible(None, (), build())
    assert Denial.NOT_FOUND is visible(STORED, ("n",), build())
    assert STORED is visible(STORED, ("n", "m"), build())
    assert STORED is visible(STORED, (), build())


def test_an_account_that_is_not_in_use_is_said():
    """Disabled, or its key is gone: nobody else has the response. Seen by whom it belongs to."""
    one_key = provider("a").keys[:1]
    for changes in ({"enabled": False}, {"keys": one_key}, {"base_url": "https://10.0.0.1"}):
        assert Denial.KEY_GONE is visible(STORED, (), build(**changes))
        assert Denial.NOT_FOUND is visible(STORED, ("n",), build(**changes))
        assert Denial.NOT_FOUND is visible(None, (), build(**changes))


def test_a_call_goes_on_at_the_same_account():
    """With what was read and written; under another name for the same model, too."""
    account = Account("a", "a-2")
    for model in ("m", "alias"):
        assert GoesOn(account, 500) == continued(STORED, model, build())
    # Another model counts in its own way: the bound is its own limit.
    assert GoesOn(account, 0) == continued(STORED, "n", build())


def test_a_model_of_another_account_cannot_go_on():
    """Neither one that only others serve nor one that is spoken otherwise."""
    only_m = build(models=MODELS[:1])
    assert Denial.MODEL_ELSEWHERE is continued(STORED, "n", only_m)
    assert Denial.MODEL_ELSEWHERE is continued(STORED, "unknown", only_m)
    chats = build(protocol=Protocol.OPENAI_CHAT)
    assert Denial.MODEL_ELSEWHERE is continued(STORED, "m", chats)


def read(**members: object) -> RequestFacts:
    body = orjson.dumps({"model": "m", "input": "Hi", **members})
    return requests.read(body, OPENAI_RESPONSES.request)


def used(read_tokens: int, written: int) -> Usage:
    return NOTHING.with_count(Unit.INPUT, read_tokens).with_count(Unit.OUTPUT, written)


@given(st.lists(st.tuples(st.text(max_size=40), st.integers(0, 10**5), st.floats(0, 1))))
def test_what_is_kept_is_bounded_whatever_of_it_is_read(turns):
    """Each turn may leave out any of what was said before; the row covers the whole all the same."""
    kept, known = 0, 0
    for text, written, share in turns:
        asked = read(input=text)
        asked = asked.going_on(known) if known else asked
        new = len(text.encode())
        known = kept_tokens(asked, used(new + int(share * kept), written))
        kept += new + written
        assert kept <= known


def test_what_nobody_knows_is_not_guessed():
    """Cut off, read from an address, going on from what is not known; searches add what was read."""
    picture = [{"role": "user", "content": [{"type": "input_image", "image_url": "https://a/b"}]}]
    for asked in (read(truncation="auto"), read(input=picture), read().going_on(0)):
        assert 0 == kept_tokens(asked, used(900, 10))
    assert 9_010 == kept_tokens(read(truncation="disabled"), used(9_000, 10))
    searching = read(tools=[{"type": "web_search"}]).going_on(5_000)
    kept = 9_000 + 5_000 + searching.kept_token_bound + 10
    assert kept == kept_tokens(searching, used(9_000, 10))


@pytest.mark.parametrize("calibration", calibrations.BY_WORD.values())
def test_thinking_that_a_count_leaves_out_is_kept(calibration):
    """The vendor does not read it in this turn; it is there for the next."""
    thought = {"type": "reasoning", "summary": [], "encrypted_content": "A" * 40_000}
    asks = {"role": "user", "content": "Hi"}
    asked = {
        "model": "m", "input": [thought, asks], "reasoning": {"context": "current_turn"},
    }  # fmt: skip
    facts = requests.read(orjson.dumps(asked), OPENAI_RESPONSES.request)
    body = orjson.dumps({**asked, "reasoning": {"context": "all_turns"}})
    close = close_bound.count(orjson.dumps(asked), OPENAI_RESPONSES.request, calibration)
    whole = close_bound.count(body, OPENAI_RESPONSES.request, calibration)
    assert close.tokens < whole.tokens
    bound = min(whole.tokens, facts.input_token_bound)
    assert bound <= kept_tokens(close.of(facts), used(1, 0))
