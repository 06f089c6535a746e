"""Who may see a stored response, and what a call keeps to that goes on from it."""

from dataclasses import replace

from tests.unit.router.providers.test_catalogue import price, provider
from tollgate_dialects.common.protocol import Protocol
from tollgate_router.call import Account
from tollgate_router.providers import catalogue
from tollgate_router.providers.catalogue import ProviderModel
from tollgate_router.stored.response import Denial, GoesOn, StoredResponse, continued, visible

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
