"""`kill -9` after any step of a `tollgate rotate`: run again it ends well, and calls go on."""

import functools
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.chaos.cut_short import commands
from tests.chaos.steady import Steady
from tests.chaos.test_rotation import provider_of
from tests.integration.trust.test_stores import superuser
from tests.live import Live, own_suite, wait_until
from tollgate_cli import keyrings

ALL = range(1, 81)
PER_SECOND = 20


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with own_suite(tmp_path_factory.mktemp("cut-short")) as live:
        yield live


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-gpt")


@pytest.fixture(scope="module")
def rotate(own: Live) -> Iterator[Callable[..., "subprocess.CompletedProcess[str]"]]:
    """Runs a `tollgate rotate`."""
    environment = {"TOLLGATE_HOME": str(own.suite.home.root), "PATH": "/usr/bin:/bin"}
    with commands() as run:
        yield functools.partial(run.run, "rotate", environment=environment)


def reconnected(own: Live) -> None:
    """Have the services connect to PostgreSQL anew, with what their files say."""
    with superuser(own) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename <> current_user and usename is not null"
        )


# Certificates are a pair of files for each identity, one like the other; another authority is waited
# for some seconds in each run.
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        (("postgres-passwords",), ALL),
        (("redis-password",), ALL),
        (("certificates",), (1, 2, 3, 4, 9, 14)),
        (("certificates", "--authority"), (1, 2, 3, 4, 5)),
        (("reservation",), ALL),
        (("pepper",), ALL),
        (("upstream-key",), ALL),
        (("upstream-keys",), (4, 9)),
        (("keyring-unlock",), (1, 2, 3)),
    ],
    ids=lambda given: " ".join(given) if isinstance(given[0], str) else "",
)
def test_run_again_it_ends_well(own, model, rotate, arguments, steps):
    """Wherever it was cut: the same command once more ends with 0, and no call has failed."""
    key = own.key(own.tenant(10_000), requests_per_minute=1_000_000)
    stdin = ""
    if arguments == ("upstream-key",):
        arguments, stdin = (*arguments, provider_of(own, model)), own.provider_key
    address = own.suite.address("edge-api")
    cuts = 0
    with Steady(address, key.text, model, per_second=PER_SECOND) as steady:
        for after in steps:
            ended = rotate(*arguments, stdin=stdin, cut_after=after)
            assert ended.returncode in (0, -signal.SIGKILL), (after, ended.stdout, ended.stderr)
            if ended.returncode == 0:
                break
            cuts = after
            again = rotate(*arguments, stdin=stdin)
            assert 0 == again.returncode, (after, again.stdout, again.stderr)
    assert cuts >= 2, "it was cut nowhere"
    assert {"200"} == set(steady.ends), steady.ends
    own.close()
    reconnected(own)
    wait_until(lambda: own.call(key, model).status_code == 200, 15)


def test_a_service_that_ends_meanwhile_is_told_at_once(own, rotate):
    """Not when its time is up; what to do is said, and done it ends well."""
    _, unlock_file = keyrings.files(own.suite.home.keyrings, "audit")
    before = unlock_file.read_text()
    own.suite.signal("audit", signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        running = pool.submit(own.cli, "rotate", "keyring-unlock")
        wait_until(lambda: unlock_file.read_text() != before, 30)
        own.suite.kill("audit")
        done = running.result(timeout=20)
    assert (1, True) == (done.returncode, "run this again" in done.stderr), done.stderr
    own.suite.start_one("audit")
    assert 0 == rotate("keyring-unlock").returncode


def test_a_password_that_was_not_committed_is_not_kept(own):
    """Of the superuser: the file that says a password too early is put right by the next command."""
    path = own.suite.home.secrets / "postgres-superuser"
    good = path.read_text()
    path.with_suffix(".before").write_text(good)
    path.write_text("never-committed-" + "x" * 20)
    with pytest.raises(psycopg.OperationalError), superuser(own):
        pass
    again = own.cli("rotate", "postgres-passwords")
    assert 0 == again.returncode, again.stderr
    assert not path.with_suffix(".before").exists()
    assert path.read_text() != good
    with superuser(own) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
