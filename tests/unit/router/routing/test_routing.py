"""Which key is tried next."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_router.routing.routing import CooldownRules, KeyHealth, Result, RetryBudget, may_retry


@dataclass(frozen=True)
class Way:
    key_id: str
    upstream_model: str = "m"


A, B, C = Way("a"), Way("b"), Way("c")
RULES = CooldownRules()
WAYS = st.sampled_from([(), ("flex",), ("fast",)])


def order(health: KeyHealth, now_ms: int) -> str:
    return "".join(way.key_id for way in health.order((A, B, C), now_ms=now_ms).candidates)


def test_taken_requests_are_not_repeated():
    """An upstream that took the request and then failed may have billed it."""
    assert not may_retry(Result.BROKEN)
    assert not may_retry(Result.TIMEOUT)
    assert may_retry(Result.CONNECT_FAILED)


def test_catalogue_order_while_all_is_well():
    """Without failures the operator's order holds."""
    assert "abc" == order(KeyHealth(RULES), 0)


def test_least_recently_failed_first():
    """Resting keys come last, those that failed longest ago first among them."""
    health = KeyHealth(RULES)
    health.record(A, Result.SERVER_ERROR, now_ms=1_000)
    health.record(B, Result.SERVER_ERROR, now_ms=1_100)
    assert "cab" == order(health, 1_200)
    # Their rest is over, but they are still the ones that failed.
    assert "cab" == order(health, 3_000)
    # Long ago: the operator's order again.
    assert "abc" == order(health, 3_000 + RULES.longest_ms)


def test_rest_doubles_and_success_forgives():
    """Each further failure doubles the rest; one success ends it."""
    health = KeyHealth(RULES)
    for _ in range(3):
        health.record(A, Result.CONNECT_FAILED, now_ms=0)
    health.record(B, Result.CONNECT_FAILED, now_ms=2_000)
    # A rests until 4000, B until 3000.
    assert "cba" == order(health, 3_500)
    health.record(A, Result.OK, now_ms=3_600)
    assert "acb" == order(health, 3_600)


def test_retry_after_is_kept_per_model():
    """A key told to wait is not tried for that model, and is for another."""
    health = KeyHealth(RULES)
    health.record(A, Result.RATE_LIMITED, now_ms=0, retry_after_ms=5_000)
    assert "bc" == order(health, 4_999)
    assert "bca" == order(health, 5_000)
    other = Way("a", "other")
    assert (other,) == health.order((other,), now_ms=0).candidates


def test_a_way_of_serving_has_a_rate_of_its_own():
    """Fast is full: the ordinary way goes on, and its success opens fast no sooner."""
    health = KeyHealth(RULES)
    health.record(A, Result.RATE_LIMITED, now_ms=0, retry_after_ms=5_000, way=("fast",))
    health.record(A, Result.OK, now_ms=1)
    assert (A,) == health.order((A,), now_ms=1).candidates
    assert (A,) == health.order((A,), now_ms=1, way=("flex",)).candidates
    assert 4_999 == health.order((A,), now_ms=1, way=("fast",)).wait_ms
    # The ordinary rate is everybody's, and so is an upstream that fails.
    for result in (Result.RATE_LIMITED, Result.SERVER_ERROR):
        health = KeyHealth(RULES)
        way = () if result is Result.RATE_LIMITED else ("fast",)
        health.record(A, result, now_ms=0, retry_after_ms=5_000, way=way)
        for other in ((), ("fast",), ("flex",)):
            assert 5_000 == health.order((A,), now_ms=0, way=other).wait_ms
    health.record(A, Result.RATE_LIMITED, now_ms=0, retry_after_ms=5_000, way=("fast",))
    health.record(A, Result.OK, now_ms=1, way=("fast",))
    assert (A,) == health.order((A,), now_ms=1, way=("fast",)).candidates


def test_all_told_to_wait():
    """When every key was told to wait nobody is tried, and the shortest wait is said."""
    health = KeyHealth(RULES)
    for way, wait_ms in ((A, 9_000), (B, 4_000), (C, 999_999_999)):
        health.record(way, Result.RATE_LIMITED, now_ms=0, retry_after_ms=wait_ms)
    found = health.order((A, B, C), now_ms=1_000)
    assert ((), 3_000) == (found.candidates, found.wait_ms)
    assert (C,) == health.order((C,), now_ms=RULES.retry_after_max_ms).candidates


@pytest.mark.parametrize("result", [Result.BAD_KEY, Result.OUT_OF_FUNDS])
def test_case_P9_a_key_of_no_use_is_so_for_all_models(result):
    """After a 401 or 402 the key is the last choice for every model, but is not given up."""
    health = KeyHealth(RULES)
    health.record(A, result, now_ms=0)
    ways = (Way("a", "x"), Way("b", "x"))
    assert ("b", "a") == tuple(w.key_id for w in health.order(ways, now_ms=100_000).candidates)
    assert (A,) == health.order((A,), now_ms=1).candidates


def test_refused_requests_are_not_the_keys_fault():
    """A 400 does not make a key rest."""
    health = KeyHealth(RULES)
    health.record(A, Result.REFUSED, now_ms=0)
    assert "abc" == order(health, 0)


def test_marks_go_with_their_keys():
    """Keys that left the catalogue leave nothing behind."""
    health = KeyHealth(RULES)
    health.record(A, Result.RATE_LIMITED, now_ms=0, retry_after_ms=5_000)
    health.keep_only(frozenset("b"))
    assert "abc" == order(health, 0)


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.sampled_from(list(Result)),
                          st.none() | st.integers(0, 10**9), st.integers(0, 10_000), WAYS)),
       WAYS)  # fmt: skip
def test_nobody_is_lost(events, asked):
    """Whatever happens, each key is either tried or waited for, and waits are bounded."""
    health, now_ms = KeyHealth(RULES), 0
    for key, result, wait_ms, later_ms, way in events:
        now_ms += later_ms
        health.record(key, result, now_ms=now_ms, retry_after_ms=wait_ms, way=way)
    found = health.order((A, B, C), now_ms=now_ms, way=asked)
    assert set(found.candidates) <= {A, B, C}
    assert len(set(found.candidates)) == len(found.candidates)
    assert (len(found.candidates) == 3) == (found.wait_ms == 0)
    assert found.wait_ms <= RULES.retry_after_max_ms
    late = now_ms + RULES.retry_after_max_ms + 1
    assert {A, B, C} == set(health.order((A, B, C), now_ms=late, way=asked).candidates)


def test_retries_are_a_share_of_calls():
    """After the burst, ten calls buy one retry."""
    budget = RetryBudget(calls_per_retry=10, burst=2)
    assert [True, True, False] == [budget.take() for _ in range(3)]
    for _ in range(9):
        budget.call()
    assert not budget.take()
    budget.call()
    assert budget.take()
    for _ in range(1000):
        budget.call()
    assert [True, True, False] == [budget.take() for _ in range(3)]
