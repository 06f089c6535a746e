"""The rule of the reservation token."""

from tollgate_dialects.pricing.bound import Bound
from tollgate_router.reservation import (
    SKEW_MS,
    Claims,
    TokenDenial,
    UsedReservations,
    check,
    check_bound,
)

CLAIMS = Claims("r1", "t1", "m", 1_000, 10_000, 50, 20, 7)


def ask(claims: Claims = CLAIMS, **changes: object) -> TokenDenial | None:
    return check(claims, **({"tenant_id": "t1", "model": "m", "now_unix_ms": 0} | changes))


def test_a_good_token_opens():
    """Claims for this tenant and model that are alive are accepted."""
    assert ask() is None


def test_expiry_allows_for_skew_and_no_more():
    """A token lives 5 s beyond its expiry, by our clock, and not a millisecond longer."""
    assert ask(now_unix_ms=10_000 + SKEW_MS) is None
    assert TokenDenial.EXPIRED == ask(now_unix_ms=10_001 + SKEW_MS)


def test_other_calls_are_refused():
    """Another tenant, another model, an empty one, or claims without sense open nothing."""
    assert TokenDenial.OTHER_TENANT == ask(tenant_id="t2")
    assert TokenDenial.OTHER_TENANT == ask(CLAIMS._replace(tenant_id=""), tenant_id="")
    assert TokenDenial.OTHER_MODEL == ask(model="n")
    assert TokenDenial.OTHER_MODEL == ask(CLAIMS._replace(model=""), model="")
    assert TokenDenial.FORGED == ask(CLAIMS._replace(reservation_id=""))
    assert TokenDenial.FORGED == ask(CLAIMS._replace(amount_nano_usd=-1))


def test_case_M4_a_token_covers_only_what_it_was_granted_for():
    """Input, output, amount and price version are bound: a call that exceeds one is refused."""
    bound = Bound(
        input_tokens=50, request_tokens=50, max_output_tokens=20, sent_max_output_tokens=20,
        amount_nano_usd=1_000,
    )  # fmt: skip
    assert check_bound(CLAIMS, bound, price_version=7) is None
    for name in ("input_tokens", "max_output_tokens", "amount_nano_usd"):
        more = bound._replace(**{name: getattr(bound, name) + 1})
        assert TokenDenial.NOT_COVERED == check_bound(CLAIMS, more, price_version=7)
    assert TokenDenial.OTHER_PRICE == check_bound(CLAIMS, bound, price_version=6)


def test_same_trace_may_return_until_contact():
    """A broken session's retry is let in until an upstream was contacted; another trace never."""
    used = UsedReservations(limit=10)
    assert used.admit(CLAIMS, trace_id="a") is None
    assert used.admit(CLAIMS, trace_id="a") is None
    assert TokenDenial.USED == used.admit(CLAIMS, trace_id="b")
    assert used.contact("r1")
    assert not used.contact("r1")
    assert TokenDenial.USED == used.admit(CLAIMS, trace_id="a")


def test_contact_needs_admission():
    """Nobody contacts an upstream for a reservation that was not presented."""
    assert not UsedReservations(limit=10).contact("r1")


def test_memory_is_bounded_and_outlives_the_token():
    """A used token is remembered for as long as it could be accepted; then it is forgotten."""
    used = UsedReservations(limit=2)
    used.admit(CLAIMS, trace_id="a")
    used.contact("r1")
    used.admit(CLAIMS._replace(reservation_id="r2", expire_unix_ms=60_000), trace_id="b")
    assert used.full(now_unix_ms=0)
    last_accepted = 10_000 + SKEW_MS
    assert used.full(now_unix_ms=last_accepted)
    assert TokenDenial.USED == used.admit(CLAIMS, trace_id="a")
    assert not used.full(now_unix_ms=last_accepted + 2_000)
    assert 1 == len(used)
    assert TokenDenial.EXPIRED == ask(now_unix_ms=last_accepted + 2_000)
