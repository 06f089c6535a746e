"""Case B3: each store is taken away and given back under calls: the suite serves again by itself."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.trickle import Trickle, assert_nothing_lost, supervised
from tests.integration.trust.test_stores import without_database
from tests.live import Key, Live, wait_until

DATABASES = ("authz", "budget", "router", "audit")
AWAY_S = 2.5


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A suite of its own, looked after: this module takes its stores away."""
    with supervised(tmp_path_factory.mktemp("outage") / "home") as live:
        yield live


@pytest.fixture(scope="module")
def key(own: Live) -> Key:
    # With a rate, so that Redis is in the way of every call.
    return own.key(own.tenant(), requests_per_minute=1_000_000)


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-gpt")


def outage(
    own: Live, key: Key, model: str, away: Callable[[], None], back: Callable[[], None]
) -> list[int]:  # fmt: skip
    """Take a store away for seconds; the statuses from then on. Fails unless all is well soon."""
    with Trickle(own, key, model) as trickle:
        trickle.wait_steady(0, 20)
        moment = time.monotonic()
        away()
        try:
            time.sleep(AWAY_S)
        finally:
            back()
        trickle.wait_steady(time.monotonic())
    statuses = trickle.since(moment)
    assert set(statuses) <= {200, 503, 0}
    assert_nothing_lost(own, trickle.calls)
    return statuses


@pytest.mark.parametrize("name", DATABASES)
def test_case_B3_a_database_that_comes_back_is_used_again(
    own: Live, key: Key, model: str, name: str
):
    """One service's database takes no connection for seconds: 503 or 200, then all well at once."""
    gone = without_database(own, name)
    outage(own, key, model, gone.__enter__, lambda: gone.__exit__(None, None, None))


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_case_B3_a_silent_engine_that_comes_back_is_used_again(
    own: Live, key: Key, model: str, name: str
):
    """An engine that stands still for seconds (SIGSTOP): 503, then all well at once."""

    def send(number: signal.Signals) -> None:
        for pid in _family(own.suite.pid(name)):
            os.kill(pid, number)

    outage(own, key, model, lambda: send(signal.SIGSTOP), lambda: send(signal.SIGCONT))


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_case_B3_an_engine_that_is_killed_is_started_and_used_again(
    own: Live, key: Key, model: str, name: str
):
    """An engine that is killed is started again by the supervisor, and the services go on with it."""
    before = own.suite.pid(name)

    def started() -> None:
        wait_until(lambda: _pid(own, name) not in (None, before), 10)
        wait_until(own.suite._units[name].ready, 20)

    outage(own, key, model, lambda: os.kill(before, signal.SIGKILL), started)


def _pid(own: Live, name: str) -> int | None:
    try:
        return own.suite.pid(name)
    except KeyError:
        return None


def test_case_B3_an_evidence_directory_that_comes_back_is_published_to(
    own: Live, key: Key, model: str
):
    """The WORM directory is away (an unmounted file system): no empty log; calls go on, then it is published."""
    worm = own.suite.home.worm
    aside = worm.with_name("worm-aside")

    def size() -> int:
        return int((worm / "checkpoint").read_text().splitlines()[1])

    before = size()
    statuses = outage(
        own, key, model, lambda: worm.rename(aside) and None, lambda: aside.rename(worm) and None
    )  # fmt: skip
    assert {200} == set(statuses)
    wait_until(lambda: size() > before + len(statuses), 5)
