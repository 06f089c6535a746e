"""The embedded engines are the real thing, durable, private, and gone when they are told to go."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests import engines
from tollgate_cli.fault import Fault
from tollgate_cli.suite.engines.postgres import EmbeddedPostgres
from tollgate_cli.suite.processes.child import Child


def setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return row[0]


def test_postgres_is_durable(postgres_admin: psycopg.Connection) -> None:
    """What budget and audit refuse to start without is on, and pages have checksums."""
    for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
        assert setting(postgres_admin, name) == "on"
    assert setting(postgres_admin, "server_version").startswith("18")
    assert setting(postgres_admin, "server_encoding") == "UTF8"


def test_databases_are_apart(postgres_dsn) -> None:
    """A service's role can neither enter another's database nor become more than it is."""
    one, other = postgres_dsn(), postgres_dsn()
    with psycopg.connect(one) as connection:
        connection.execute("CREATE TABLE t (x int)")
        super_user = connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        assert super_user.fetchone() == (False,)
    stranger = one.rsplit("/", 1)[0] + "/" + other.rsplit("/", 1)[1]
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(stranger)


def test_redis_wants_its_password(redis_url: str) -> None:
    """Redis answers its URL and refuses whoever comes without the password."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping() is True
    port = int(redis_url.rsplit(":", 1)[1].split("/", maxsplit=1)[0])
    once = Retry(NoBackoff(), 0)
    with redis.Redis(port=port, retry=once) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_data_survives_a_crash_below_a_private_directory() -> None:
    """It starts below a 0700 directory, also for root, and kill -9 loses nothing."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as private:
        assert Path(private).stat().st_mode & 0o777 == 0o700
        with engines.postgres_server(Path(private)) as server:
            dsn = engines.fresh_database(server)
            with psycopg.connect(dsn) as connection:
                connection.execute("CREATE TABLE t AS SELECT 7 AS x")
            if os.geteuid() == 0:
                assert Path(f"/proc/{server.process.pid}").stat().st_uid != 0
            server.process.kill()
            server.restart()
            with psycopg.connect(dsn) as connection:
                assert connection.execute("SELECT x FROM t").fetchone() == (7,)


def test_engines_die_with_their_starter() -> None:
    """kill -9 of the process that started the engines leaves neither of them."""
    program = (
        "import sys, time\n"
        "from tests import engines\n"
        "with engines.postgres_server() as p, engines.redis_server() as r:\n"
        "    print(p.process.pid, r.process.pid, p.log.parent, r.log.parent, flush=True)\n"
        "    time.sleep(60)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    said = starter.stdout.readline().split()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 10
    pids = [int(pid) for pid in said[:2]]
    while any(_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in pids if _running(pid)] == []
    for directory in said[2:]:
        subprocess.run(["rm", "-rf", directory], check=True)


def test_another_homes_postgres_says_nothing_of_our_password() -> None:
    """Two homes, one port: the later one is not ready and ends; only its own may blame a file."""
    with engines.postgres_server() as first, engines._directory(None) as directory:
        second = EmbeddedPostgres(
            directory / "postgres", port=first.engine.port, password_file=directory / "password"
        )
        second.initialise()
        assert not second.ready()
        late = Child("postgres", second.command(directory / "log"))
        while late.exit_code() is None:
            assert not second.ready()
        assert not second.ready()
        assert "Address already in use" in "".join(late.log_tail(40))
        first.engine._password_file.write_text("another")
        with pytest.raises(Fault, match="was altered"):
            first.engine.ready()


def _running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
