"""No call starts on a stale decision: 1.5 s after the last heartbeat the cache is not used."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.live import Live, own_suite, wait_until

STALE_S = 1.5
# One Check that times out, and the turn of a loaded machine.
ONE_RPC_S = 0.25


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A suite of its own: this module stops its authz."""
    with own_suite(tmp_path_factory.mktemp("revocation"), edges=1) as live:
        yield live


def starts(live: Live, key, model: str, seconds: float) -> list[tuple[float, int]]:
    """(moment of the start, status) of calls made back to back."""
    got = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        got.append((began, live.call(key, model, max_tokens=1).status_code))
        time.sleep(0.01)
    return got


def test_promise_12_with_authz_stopped_calls_end_within_the_bound_and_never_with_401(stopped: Live):
    """Authz under SIGSTOP: cached calls for at most 1.5 s, then 503, never 401; then all is well."""
    live = stopped
    key, model = live.key(live.tenant()), live.model("demo-gpt")
    assert 200 == live.call(key, model).status_code
    moment = time.monotonic()
    live.suite.signal("authz", signal.SIGSTOP)
    try:
        seen = starts(live, key, model, 4)
    finally:
        live.suite.signal("authz", signal.SIGCONT)
    served = [began - moment for began, status in seen if status == 200]
    print(f"last call that started: {max(served):.3f} s after authz stopped")
    assert max(served) <= STALE_S + ONE_RPC_S
    assert {200, 503} == {status for _, status in seen}
    wait_until(lambda: live.call(key, model).status_code == 200, 10)


def test_a_revoked_key_starts_no_call_after_the_bound(stopped: Live):
    """From the answer of RevokeKey on, a revoked key's calls end within 1.5 s (usually at once)."""
    live = stopped
    key, model = live.key(live.tenant()), live.model("demo-gpt")
    assert 200 == live.call(key, model).status_code
    live.revoke(key)
    moment = time.monotonic()
    seen = starts(live, key, model, 2.5)
    served = [began - moment for began, status in seen if status == 200]
    print(f"last call that started: {max(served, default=0):.3f} s after the revocation")
    assert max(served, default=0) <= STALE_S
    assert 401 == seen[-1][1]
