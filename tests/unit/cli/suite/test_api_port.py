"""A port that the API cannot have is told before anything is prepared or started."""

import socket
from pathlib import Path

import pytest

from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private
from tollgate_cli.suite.processes import ports
from tollgate_cli.suite.suite import Cancelled, Options, Suite


@pytest.fixture
def taken():
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_was_asked_for_is_a_fault_at_once(tmp_path: Path, taken: int) -> None:
    """One line, and what to do; no certificate is made, no engine is initialised."""
    suite = Suite(tmp_path, Options(api_port=taken))
    with pytest.raises(Fault, match=f"port {taken}, asked for by name, is taken") as fault:
        suite.start()
    assert "--api-port" in fault.value.remedy
    assert [] == list((tmp_path / "certificates").iterdir())


def test_another_port_than_the_usual_one_is_said_first(tmp_path: Path, taken: int) -> None:
    """Who calls where the API usually is would reach another program."""
    said: list[str] = []

    def report(text: str) -> None:
        said.append(text)
        if text.startswith("preparing"):
            raise Cancelled

    write_private(tmp_path / "ports.json", f'{{"edge-api": {taken}}}')
    with pytest.raises(Cancelled):
        Suite(tmp_path, Options(), report=report).start()
    assert said[0].startswith(f"port {taken} is taken by another program, so the API will be at ")
