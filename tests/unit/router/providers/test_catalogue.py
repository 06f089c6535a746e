"""The catalogue snapshot, the endpoints and what an operator may register."""

from dataclasses import replace

import pytest

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Asked
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.registry import DIALECTS
from tollgate_router import messages
from tollgate_router.providers import admission, base_url, catalogue, endpoint
from tollgate_router.providers.admission import InvalidField
from tollgate_router.providers.catalogue import Provider, ProviderKey, ProviderModel

OPENAI, ANTHROPIC = Protocol.OPENAI_CHAT, Protocol.ANTHROPIC_MESSAGES


def price(model: str) -> Price:
    amounts = {unit.price_field: 1 for unit in Unit}
    return Price.of(
        model=model, version=1, source="seed", max_input_tokens=1, max_output_tokens=1, **amounts
    )


def provider(name: str, **changes: object) -> Provider:
    made = Provider(
        name=name,
        protocol=OPENAI,
        base_url=f"https://{name}.example.com/v1",
        models=(ProviderModel("m", "up-m"),),
        keys=(ProviderKey(f"{name}-1", "shared", "s"), ProviderKey(f"{name}-2", "shared", "s")),
        enabled=True,
        create_unix_ms=5,
    )
    return replace(made, **changes)


def build(*providers: Provider, prices=None) -> catalogue.Snapshot:
    prices = (price("m"),) if prices is None else prices
    return catalogue.build(revision=7, providers=providers, prices=prices, allow_private=False)


def test_candidates_come_in_order_of_registration():
    """Providers, then their keys, as they were registered; each bound to tenant, key and origin."""
    found = build(provider("a"), provider("b")).candidates(OPENAI, "m", translated=False)
    assert ["a-1", "a-2", "b-1", "b-2"] == [way.key_id for way in found]
    assert "shared|a-1|https://a.example.com:443" == found[0].key_context
    assert "up-m" == found[0].upstream_model


def test_no_route_without_price_key_address_or_leave():
    """Unpriced, keyless, disabled and barred providers carry no call and are not listed."""
    assert () == build(provider("a"), prices=()).models
    for broken in ({"keys": ()}, {"enabled": False}, {"base_url": "https://10.0.0.1"}):
        snapshot = build(provider("a", **broken))
        assert ((), ()) == (snapshot.candidates(OPENAI, "m", translated=False), snapshot.models)
    assert ("a",) == build(provider("a", base_url="https://10.0.0.1")).barred
    assert () == build(provider("a")).candidates(ANTHROPIC, "m", translated=False)
    assert () == build(provider("a")).candidates(OPENAI, "n", translated=False)


def test_those_of_other_protocols_come_behind_and_only_if_wanted():
    """Who speaks the client's protocol comes first, wherever it was registered."""
    snapshot = build(provider("a", protocol=ANTHROPIC), provider("b"))
    own = [way.key_id for way in snapshot.candidates(OPENAI, "m", translated=False)]
    everybody = [way.key_id for way in snapshot.candidates(OPENAI, "m", translated=True)]
    assert (["b-1", "b-2"], ["b-1", "b-2", "a-1", "a-2"]) == (own, everybody)
    assert snapshot.is_translated(OPENAI, "m")
    assert not build(provider("a")).is_translated(OPENAI, "m")


@pytest.mark.parametrize("cloud", [Protocol.BEDROCK_INVOKE, Protocol.VERTEX_ANTHROPIC])
def test_who_speaks_a_protocol_in_an_envelope_speaks_it(cloud):
    """It is asked once, among those who do, and needs no translation."""
    snapshot = build(provider("b"), provider("a", protocol=cloud))
    for translated, expected in ((False, ["a-1", "a-2"]), (True, ["a-1", "a-2", "b-1", "b-2"])):
        found = snapshot.candidates(ANTHROPIC, "m", translated=translated)
        assert expected == [way.key_id for way in found]
    alone = build(provider("a", protocol=cloud))
    assert not alone.is_translated(ANTHROPIC, "m")
    assert alone.is_translated(OPENAI, "m")
    assert (ANTHROPIC,) == alone.models[0].protocols


def test_models_show_protocols_and_newest_price():
    """A model on two protocols is listed once, with its newest price; old versions stay known."""
    prices = (price("m"), replace(price("m"), version=2), price("unserved"))
    snapshot = build(provider("a"), provider("b", protocol=ANTHROPIC), prices=prices)
    (listed,) = snapshot.models
    assert ("m", (OPENAI, ANTHROPIC), 2) == (listed.model, listed.protocols, listed.price.version)
    assert prices[0] == snapshot.price("m", 1)
    assert snapshot.price("m", 3) is None


def test_a_count_is_known_by_every_upstreams_name_of_a_model():
    """Not by the name that clients use, and not where two providers count differently."""

    def known(*upstream_models):
        ways = [
            provider(f"p{place}", models=(ProviderModel("m", upstream),))
            for place, upstream in enumerate(upstream_models)
        ]
        (listed,) = build(*ways).models
        return listed.calibration and listed.calibration.word

    assert "gpt-4o" == known("gpt-4o") == known("gpt-4o-2024-11-20", "gpt-4o")
    assert None is known("llama-3") is known("gpt-4o", "llama-3") is known("gpt-4o", "gpt-5")
    (listed,) = build(provider("a", models=(ProviderModel("m", "gpt-5"),))).models
    assert "gpt-5" == messages.model_message(listed, owned_by="").calibration
    (listed,) = build(provider("a")).models
    assert not messages.model_message(listed, owned_by="").calibration


@pytest.mark.parametrize(
    ("protocol", "address", "wanted"),
    [
        (OPENAI, "https://x.com/v1", "https://x.com:443/v1/chat/completions"),
        (OPENAI, "https://x.com/api/compatible-mode/v1/",
         "https://x.com:443/api/compatible-mode/v1/chat/completions"),
        (ANTHROPIC, "https://x.com", "https://x.com:443/v1/messages"),
        (ANTHROPIC, "https://x.com/v1", "https://x.com:443/v1/messages"),
        (ANTHROPIC, "https://x.com/apps/anthropic", "https://x.com:443/apps/anthropic/v1/messages"),
    ],
)  # fmt: skip
def test_endpoints(protocol, address, wanted):
    """Base URLs are written as each protocol's SDK takes them."""
    assert wanted == endpoint.url(
        base_url.parse(address, allow_private=False),
        DIALECTS[protocol].endpoint,
        Asked("m", stream=False),
    )


def test_only_well_formed_protocol_headers_pass():
    """Versions and betas pass when well formed; nothing passes to OpenAI; prices are not changed."""
    good = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1, b.2", "x-evil": "1"}
    passed_on = DIALECTS[ANTHROPIC].endpoint.passed_on
    passed = {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b.2"}
    assert (passed, ()) == passed_on(good)
    assert {} == DIALECTS[OPENAI].endpoint.passed_on(good).kept
    for bad in ("a\r\nb", "a;b", "é", "a" * 101, ",", "a b"):
        assert {} == passed_on({"anthropic-beta": bad}).kept
    assert {} == passed_on({"anthropic-beta": "context-1m-2025-08-07"}).kept


@pytest.mark.parametrize("key", ["", "a b", "a\r\nx: y", "ключ", "a\x00", "x" * 4097])
def test_keys_that_cannot_stand_in_a_header_are_refused(key):
    """A key with a line break would be a second header."""
    with pytest.raises(InvalidField) as refused:
        admission.key(key, Protocol.OPENAI_CHAT, ())
    assert not key or key not in str(refused.value)


def test_models_are_checked():
    """Upstream names default to the clients'; doubles, blanks and too many are refused."""
    assert (ProviderModel("m", "m"), ProviderModel("n", "up")) == admission.models(
        [("m", ""), ("n", "up")]
    )
    for bad in ([], [("m", ""), ("m", "x")], [("", "")], [("a b", "")], [("m", "")] * 501):
        with pytest.raises(InvalidField):
            admission.models(bad)


@pytest.mark.parametrize("name", ["", "A", "-a", "a" * 65, "a b", "a/b", "a\n"])
def test_provider_names_are_plain(name):
    """A provider's name stands in metrics, logs and routes."""
    with pytest.raises(InvalidField):
        admission.provider_name(name)
