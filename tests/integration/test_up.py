"""`tollgate up` as a person uses it: one command to a governed call, and nothing left behind."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import wait_until

TOLLGATE = str(Path(sys.executable).parent / "tollgate")
SERVICES = {
    "postgres", "redis", "audit", "authz", "budget", "router", "provider", "edge-api",
}  # fmt: skip
START_S = 90


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


def curl(text: str) -> str:
    """Runs the printed curl line as a person would: pasted into a shell."""
    line = text[text.index("curl -i") :].split("\n\n", maxsplit=1)[0]
    done = subprocess.run(
        ["bash", "-c", line.replace("curl -i", "curl -isS --max-time 20")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_one_command_to_a_governed_call_and_nothing_left_behind(home: Home) -> None:
    """Up; the printed curl works; a second up says so; Ctrl-C; the data is there again."""
    with home.foreground() as supervisor:
        first = home.printed()
        answer = curl(first)
        assert re.match(r"HTTP/1.1 200", answer), answer
        for header in ("x-request-id", "x-tollgate-cost-usd", "x-tollgate-usage-output-tokens"):
            assert f"\n{header}:" in answer.lower()
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
        assert re.match(r"HTTP/1.1 200", curl(second))
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
        assert "running" in home.run("status").stdout
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
        os.kill(before, signal.SIGKILL)
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
        refused = home.run("up", "--api-port", str(port))
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
