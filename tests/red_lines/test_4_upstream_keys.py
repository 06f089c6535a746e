"""Red line 4: only router can open an upstream key, and holds it only in memory.

Here with keys in files; in Vault: the files beside this one.
"""

import os
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import demo, memory
from tests.live import ANTHROPIC, OPENAI, Live, own_suite, wait_until

OTHERS = ("edge-api", "edge-api-2", "authz", "budget", "audit", "postgres", "redis")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A suite that may die, started by somebody who lets programs write core files."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        with own_suite(tmp_path_factory.mktemp("own") / "home", edges=2) as live:
            yield live
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def test_a_second_provider_is_called_with_a_key_no_other_process_held(own: Live, tmp_path: Path):
    """`tollgate provider add` with a canary key; calls work; only router's memory ever has it.

    The canary is the second provider's own key, so every call proves that router opened it.
    """
    canary = memory.canary()
    key_file = tmp_path / "second-key"
    key_file.write_text(f"sk-canary-{canary}")
    key_file.chmod(0o600)
    with demo.running(key_file) as url:
        own.cli("price", "set", "second-model", "--input", "1", "--output", "2")
        added = own.cli(
            "provider", "add", "second", "--protocol", "openai", "--base-url", f"{url}/v1",
            "--model", "second-model=demo-gpt", "--key-file", str(key_file), "--json",
        )  # fmt: skip
        assert 0 == added.returncode, added.stdout + added.stderr
        assert canary not in added.stdout + added.stderr
        key = own.key(own.tenant())
        for edge in own.api_urls:
            wait_until(lambda e=edge: "second-model" in own.listed(key, e), 10)
            for _ in range(20):
                assert 200 == own.call(key, "second-model", url=edge).status_code
        needles = memory.spellings(canary)
        names = [name for name in own.suite.names if name in OTHERS]
        assert {} == {
            name: found
            for name in names
            if (found := memory.spelled_in_process(own.suite.pid(name), needles))
        }
        # The scan can find it: router has just used it.
        in_router = memory.spelled_in_process(own.suite.pid("router"), needles)
        assert not memory.IS_ROOT or "plain" in in_router
        at_rest = [p for p in own.suite.home.root.rglob("*") if p.is_file() and p != key_file]
        assert [] == [p for p in at_rest if canary.encode() in _bytes(p)]


def test_no_core_file_of_a_service_can_be_had(own: Live):
    """Not where its parent's limit allows one, nor where its own is raised again: it just ends.

    Nor does its memory belong to its user: another process of the same user may not read it.
    """
    for name in ("edge-api", "authz", "budget", "audit", "router"):
        pid = own.suite.pid(name)
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert (name, True) == (name, "Max core file size        0 " in limits)
        assert (name, 0) == (name, Path(f"/proc/{pid}/mem").stat().st_uid)
    _, most = resource.prlimit(pid, resource.RLIMIT_CORE)
    resource.prlimit(pid, resource.RLIMIT_CORE, (most, most))
    own.suite.signal("router", signal.SIGABRT)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (os.CLD_KILLED, signal.SIGABRT) == (ended.si_code, ended.si_status)
    own.suite.restart("router")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_keys_are_encrypted_at_rest_and_bound_to_their_place(live: Live):
    """In router's store a key is ciphertext, and a row moved to another host does not open."""
    model = live.model("demo-gpt", OPENAI)
    key = live.key(live.tenant())
    assert 200 == live.call(key, model).status_code
    with live.database("router") as connection:
        dump = "\n".join(
            str(row)
            for (table,) in connection.execute(
                "select tablename from pg_tables where schemaname = 'public'"
            ).fetchall()
            for row in connection.execute(f"select * from {table}").fetchall()
        )
    assert (False, True) == (live.provider_key in dump, "tg1." in dump)


@pytest.mark.parametrize("service", ["edge-api", "authz", "budget", "audit"])
def test_no_other_configuration_names_the_upstream_keyring(live: Live, service: str):
    """No process but router is told of a keyring that holds upstream-keys."""
    text = (live.suite.home.config / f"{service}.toml").read_text()
    named = re.findall(r'"([^"]*keyring[^"]*)"', text)
    assert not [name for name in named if "router" in name]


def test_other_services_databases_are_closed(live: Live):
    """Each service's login opens its own database only."""
    databases = live.suite.describe()["databases"]
    assert isinstance(databases, dict)
    for name, dsn in databases.items():
        for other in databases:
            if other != name:
                moved = re.sub(r"/[^/?]+(\?|$)", rf"/{_database(databases[other])}\1", dsn)
                with pytest.raises(psycopg.Error):
                    psycopg.connect(moved, connect_timeout=3).execute("select 1 from pg_tables")


def _database(dsn: str) -> str:
    found = re.search(r"/([^/?]+)(\?|$)", dsn)
    assert found
    return found[1]


def test_anthropic_keys_travel_in_their_own_header(live: Live):
    """The key goes out as the protocol wants it, and a call proves that it opened."""
    model = live.model("demo-claude", ANTHROPIC)
    assert 200 == live.call(live.key(live.tenant()), model, ANTHROPIC).status_code
