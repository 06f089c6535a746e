"""`tollgate up` as a person uses it: one command to a governed call, and nothing left behind."""

import contextlib
import fcntl
import functools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import wait_until
from tollgate_cli.seed import MODELS

TOLLGATE = str(Path(sys.executable).parent / "tollgate")
SERVICES = {
    "postgres", "redis", "audit", "authz", "budget", "router", "provider", "edge-api",
}  # fmt: skip
START_S = 90


@pytest.fixture(autouse=True)
def usual_ports() -> Iterator[None]:
    """One test at a time on a machine: two suites that start together want the same ports."""
    with (Path(tempfile.gettempdir()) / "tollgate-usual-ports.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Home:
    """A home directory and the commands run in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "TOLLGATE_HOME": str(self.root), "PYTHONWARNINGS": "ignore"}

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [TOLLGATE, *arguments], env=self.environment, input=stdin,
            capture_output=True, text=True, timeout=START_S, check=False,
        )  # fmt: skip

    @contextlib.contextmanager
    def foreground(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """`tollgate up` in the foreground, until it greets; stopped hard if the test did not."""
        output = self.root.with_suffix(".out")
        with output.open("w") as stream:
            process = subprocess.Popen(
                [TOLLGATE, "up", *arguments], env=self.environment, text=True,
                stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:

            def greeted() -> bool:
                assert process.poll() is None, output.read_text()
                return "Stop with Ctrl-C" in output.read_text()

            wait_until(greeted, START_S)
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def printed(self) -> str:
        return self.root.with_suffix(".out").read_text()

    def dev(self) -> dict:
        return json.loads((self.root / "dev.json").read_text())

    def processes(self) -> list[str]:
        """Command lines of processes that name this home."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if str(self.root) in line:
                        found.append(line)
        return found

    def listening(self, addresses: list[str]) -> list[str]:
        """Those of the addresses that still accept connections."""
        open_ = []
        for address in addresses:
            host, _, port = address.rpartition(":")
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                open_.append(address)
        return open_


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def curls(text: str) -> list[str]:
    """Runs each printed line as a person would: pasted into a shell."""
    answers = []
    for line in re.findall(r"^curl -i .*$", text, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", line.replace("curl -i", "curl -isS --max-time 20")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        answers.append(done.stdout + done.stderr)
    return answers


def as_streams(text: str) -> str:
    """The same calls as streams, as the greeting says."""
    changes = {
        '{"model"': '{"stream":true,"model"',
        ":generateContent": "':streamGenerateContent?alt=sse'",
        "/generation": "/generation -H 'x-dashscope-sse: enable'",
    }
    return functools.reduce(lambda said, change: said.replace(*change), changes.items(), text)


def test_one_command_to_a_governed_call_and_nothing_left_behind(home: Home) -> None:
    """Up; the printed curl works; a second up says so; Ctrl-C; the data is there again."""
    with home.foreground() as supervisor:
        first = home.printed()
        answers = curls(first)
        streams = curls(as_streams(first))
        assert [len(MODELS), len(MODELS)] == [len(answers), len(streams)], first
        for answer in answers + streams:
            assert re.match(r"HTTP/1.1 200", answer), answer
        for answer in answers:
            for header in ("x-request-id", "x-tollgate-cost-usd", "x-tollgate-usage-output-tokens"):
                assert f"\n{header}:" in answer.lower()
        assert all("\ndata:" in answer for answer in streams)
        dev = home.dev()
        assert SERVICES == set(dev["services"])
        assert {"authz", "budget", "router", "audit"} == set(dev["databases"])
        assert dev["demo_key"] in first
        private = home.root / "dev.json"
        assert 0o600 == private.stat().st_mode & 0o777

        again = home.run("up")
        assert 1 == again.returncode
        assert "already running" in again.stderr
        assert "Traceback" not in again.stderr

        addresses = [service["address"] for service in dev["services"].values()]
        supervisor.send_signal(signal.SIGINT)
        assert 0 == supervisor.wait(60)
    assert ([], []) == (home.processes(), home.listening(addresses))
    assert not private.exists()
    order = re.findall(r"stopping ([\w-]+)\n", home.printed())
    assert ("edge-api", "redis") == (order[0], order[-1])

    with home.foreground() as supervisor:
        second = home.printed()
        assert dev["demo_key"] not in second
        assert all(re.match(r"HTTP/1.1 200", answer) for answer in curls(second))
        assert addresses == [service["address"] for service in home.dev()["services"].values()]
        shown = json.loads(home.run("budget", "show", "demo", "--json").stdout)
        assert 5_000_000_000 == shown["limit_nano_usd"]
        assert shown["posted_nano_usd"] > 0
        supervisor.send_signal(signal.SIGHUP)
        assert 0 == supervisor.wait(60)
    assert [] == home.processes()


def test_no_key_is_in_a_log(home: Home) -> None:
    """Started in the background, the suite writes the demo key to no log; wait prints it once."""
    done = home.run("up", "--detach", "--wait")
    try:
        assert 0 == done.returncode, done.stdout + done.stderr
        key = home.dev()["demo_key"]
        assert key in done.stdout
        assert [] == [p.name for p in (home.root / "logs").iterdir() if key in p.read_text()]
        assert "Ctrl-C" not in done.stdout
        assert "down`" in done.stdout
        assert "running" in home.run("status").stdout
        shown = json.loads(home.run("status", "--json").stdout)
        assert {"serving"} == {entry["health"] for entry in shown["services"].values()}
        assert all(entry["uptime_seconds"] < START_S for entry in shown["services"].values())
        assert re.match(r"0\.\d+\.\d+( \(\w+(-dirty)?\))?$", shown["version"])
        assert "edge-api" in home.run("logs", "edge-api").stdout
    finally:
        stopped = home.run("down")
    assert "stopped" in stopped.stdout
    assert 3 == home.run("status").returncode
    assert [] == home.processes()


def test_a_killed_supervisor_leaves_nothing(home: Home) -> None:
    """kill -9 of `tollgate up`: every process goes, and the next start works."""
    with home.foreground("--no-demo") as supervisor:
        supervisor.kill()
        supervisor.wait()
        wait_until(lambda: not home.processes(), 40)
    with home.foreground("--no-demo") as supervisor:
        supervisor.send_signal(signal.SIGTERM)
        assert 0 == supervisor.wait(60)
    assert [] == home.processes()


def test_a_crashed_service_is_reported_and_started_again(home: Home) -> None:
    """kill -9 of one service: the log says so, loudly, and it serves again."""
    with home.foreground("--no-demo") as supervisor:
        before = home.dev()["services"]["authz"]["pid"]
        # Else it may have been started again before it is looked at.
        supervisor.send_signal(signal.SIGSTOP)
        os.kill(before, signal.SIGKILL)
        assert 1 == home.run("status").returncode
        supervisor.send_signal(signal.SIGCONT)
        wait_until(lambda: "AUTHZ ENDED BY ITSELF (signal 9)" in home.printed(), 10)
        wait_until(lambda: home.dev()["services"].get("authz", {}).get("pid", before) != before, 10)
        wait_until(lambda: home.run("tenant", "list").returncode == 0, 20)
        supervisor.send_signal(signal.SIGINT)
        assert 0 == supervisor.wait(60)
    assert [] == home.processes()


def test_ctrl_c_while_it_starts(home: Home) -> None:
    """Interrupted half-way, the start leaves nothing either."""
    process = subprocess.Popen(
        [TOLLGATE, "up"], env=home.environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    wait_until((home.root / "run" / "postgres.pid").exists, 30)
    process.send_signal(signal.SIGINT)
    assert 0 == process.wait(60)
    assert [] == home.processes()


def test_default_ports_taken_and_a_port_asked_for(home: Home) -> None:
    """A taken default port is avoided; a taken port asked for by name is named in the error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for how in ((), ("--detach",), ("--detach", "--wait")):
            refused = home.run("up", "--api-port", str(port), *how)
            assert 1 == refused.returncode
            assert f"port {port}, asked for by name, is taken" in refused.stderr
    assert [] == home.processes()


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """Too little space: one sentence says so, before and while the engines start."""
    place = tmp_path / "small"
    place.mkdir()
    size = "size=24m"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        small = Home(place / "home")
        refused = small.run("up")
        assert (1, True) == (refused.returncode, "the disk is full" in refused.stderr)
        # The same while PostgreSQL makes its files: without the check at the start.
        late = subprocess.run(
            [sys.executable, "-c", (
                "from tollgate_cli import main, suite\n"
                "suite._FREE_BYTES_MIN = 0\n"
                "main.main()\n"
            ), "up"],
            env=small.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (1, True) == (late.returncode, "the disk is full" in late.stderr), late.stderr
        assert "Traceback" not in late.stderr
        assert [] == small.processes()
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_not_running(home: Home) -> None:
    """Every operator command without a suite says what to do, in words, and fails."""
    for command in (
        "tenant list",
        "key list --json",
        "provider list",
        "budget show",
        "audit verify",
    ):
        done = home.run(*shlex.split(command))
        assert 1 == done.returncode
        assert "tollgate up" in done.stderr
        assert "Traceback" not in done.stderr
    assert "no suite is running" in home.run("down").stdout


def test_a_demo_that_was_turned_off_keeps_nobody_from_a_start(home: Home) -> None:
    """Who suspends the demo's tenant before going live has a suite that starts, and is told."""
    assert 0 == home.run("up", "--detach", "--wait").returncode
    try:
        assert 0 == home.run("tenant", "suspend", "demo").returncode
        home.run("down")
        started = home.run("up", "--detach", "--wait")
        assert 0 == started.returncode, started.stdout + started.stderr
        assert "the demo's key is refused" in started.stdout + started.stderr
        assert "--no-demo" in started.stdout + started.stderr
    finally:
        home.run("down")


def test_case_B4_a_start_among_garbage(home: Home) -> None:
    """What can be made anew is, all at once; what cannot is named by a start that ends at once."""
    assert 0 == home.run("up", "--detach", "--wait", "--no-demo").returncode
    assert "stopped" in home.run("down").stdout
    for name in ("run/authz.pid", "run/redis.pid", "dev.json", "ports.json", "operator.toml",
                 "config/authz.toml", "certificates/router.pem", "certificates/ca-key.pem",
                 "suite.lock", "redis/redis.conf", "secrets/router-dsn"):  # fmt: skip
        (home.root / name).write_bytes(b"\xff\x00 garbage")
    (home.root / "run" / "audit.pid").mkdir()
    started = home.run("up", "--detach", "--wait", "--no-demo")
    try:
        assert 0 == started.returncode, started.stdout + started.stderr
        for name in ("authz", "redis", "audit"):
            said = f"{home.root / 'run' / name}.pid says nothing about a process of this suite"
            assert said in started.stdout
    finally:
        home.run("down")
    for name in ("keyrings/authz.json", "keyrings/audit.unlock", "secrets/postgres-superuser",
                 "secrets/budget-password"):  # fmt: skip
        good = (home.root / name).read_bytes()
        (home.root / name).chmod(0o600)
        (home.root / name).write_text("" if "password" in name else "garbage" * 5)
        refused = home.run("up", "--no-demo")
        assert (1, True) == (refused.returncode, str(home.root / name) in refused.stderr), refused
        assert "mv" in refused.stderr
        assert "Traceback" not in refused.stdout + refused.stderr
        (home.root / name).write_bytes(good)
        (home.root / name).chmod(0o400)
    assert [] == home.processes()


def test_status_points_at_the_log_of_a_start_that_failed(home: Home) -> None:
    """A suite in the background that did not come up: status names the log that says why."""
    home.root.mkdir()
    (home.root / "postgres").write_text("in the way")
    assert 0 == home.run("up", "--detach", "--no-demo").returncode
    log = home.root / "logs" / "suite.log"
    wait_until(lambda: str(log) in home.run("status").stdout, 20)
    assert 3 == home.run("status").returncode
    assert str(log) == json.loads(home.run("status", "--json").stdout)["failed_log"]
    (home.root / "postgres").unlink()
    assert 0 == home.run("up", "--detach", "--wait", "--no-demo").returncode
    home.run("down")
    assert str(log) not in home.run("status").stdout
