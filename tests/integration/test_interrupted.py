"""Ctrl-C in a `tollgate` command: one line and code 130, whatever it is at."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOLD = "tollgate: interrupted\n"
LOADING = """
import time
print("loading", flush=True)
time.sleep(30)
"""


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """What takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def start(*words: str, **environment: str) -> subprocess.Popen[str]:
    # Who runs the tests in the background has a shell ignore Ctrl-C for all that they start.
    default = ["/usr/bin/env", "--default-signal=INT"]
    argv = [*default, sys.executable, "-m", "tollgate_cli.main", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, env=environment, stdout=pipe, stderr=pipe, text=True)


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, said


def test_while_it_begins(tmp_path: Path):
    """Before the command knows what it is to do, as by a person who sees a wrong word."""
    (tmp_path / "typer.py").write_text(LOADING)
    process = start("status", PYTHONPATH=str(tmp_path))
    assert process.stdout is not None
    assert "loading\n" == process.stdout.readline()
    assert (130, TOLD) == interrupted(process)


def test_while_it_waits(tmp_path: Path, silent):
    """In the midst of a request that nobody answers."""
    (tmp_path / "token").write_text("hvs.none")
    (tmp_path / "token").chmod(0o400)
    address = f"https://127.0.0.1:{silent.getsockname()[1]}"
    words = ("vault", "init", "--address", address, "--token-file", str(tmp_path / "token"))
    process = start(*words, TOLLGATE_HOME=str(tmp_path))
    connection, _ = silent.accept()
    with connection:
        assert connection.recv(1)
        assert (130, TOLD) == interrupted(process)
