"""Red line 4, as far as built: only router can open an upstream key, and holds it only in memory.

Vault AppRole comes behind the same seam (keyring) in a later issue.
"""

import re
from pathlib import Path

import psycopg
import pytest

from tests import demo
from tests.live import ANTHROPIC, OPENAI, Live
from tollgate_cli.suite.suite import Options, Suite

OTHERS = ("edge-api", "edge-api-2", "authz", "budget", "audit", "postgres", "redis")


def memory_holds(pid: int, needle: bytes) -> bool:
    """Whether a process has the bytes anywhere in its writable memory."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            if "rw" not in mode:
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            try:
                memory.seek(begin)
                # In pieces that overlap by the needle, so that a big heap needs no big buffer.
                kept = b""
                while begin < end and (piece := memory.read(min(1 << 22, end - begin))):
                    if needle in kept + piece:
                        return True
                    kept = piece[-len(needle) :]
                    begin += len(piece)
            except (OSError, ValueError, OverflowError):
                continue  # a mapping that cannot be read, such as vvar
    return False


def test_a_second_provider_is_called_with_a_key_no_other_process_held(tmp_path):
    """`tollgate provider add` with a canary key; calls work; only router's memory ever has it.

    The canary is the second provider's own key, so every call proves that router opened it.
    """
    canary = "sk-canary-" + "c4n4ry" * 6
    key_file = tmp_path / "second-key"
    key_file.write_text(canary)
    key_file.chmod(0o600)
    suite = Suite(tmp_path / "home", Options(edges=2, usual_ports=False))
    suite.start()
    live = Live(suite)
    try:
        with demo.running(key_file) as url:
            live.cli("price", "set", "second-model", "--input", "1", "--output", "2")
            added = live.cli(
                "provider", "add", "second", "--protocol", "openai", "--base-url", f"{url}/v1",
                "--model", "second-model=demo-gpt", "--key-file", str(key_file), "--json",
            )  # fmt: skip
            assert 0 == added.returncode, added.stdout + added.stderr
            assert canary not in added.stdout + added.stderr
            key = live.key(live.tenant())
            from tests.live import wait_until

            for edge in live.api_urls:
                wait_until(lambda e=edge: "second-model" in live.listed(key, e), 10)
                for _ in range(20):
                    assert 200 == live.call(key, "second-model", url=edge).status_code
            needle = canary.encode()
            holders = {n for n in suite.names if n in OTHERS and memory_holds(suite.pid(n), needle)}
            assert set() == holders
            # The scan can find it: router has just used it.
            assert memory_holds(suite.pid("router"), needle)
            at_rest = [p for p in suite.home.root.rglob("*") if p.is_file() and p != key_file]
            assert [] == [p for p in at_rest if needle in _bytes(p)]
    finally:
        live.close()
        suite.stop()


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
