"""What is asked of a process: here a figure of its metrics, from a real one."""

import pytest

from tollgate_cli.suite.processes import ports, probe
from tollgate_kit.metrics import Metrics


@pytest.fixture
def served():
    metrics = Metrics("audit")
    address = f"{ports.LOOPBACK}:{ports.free_port()}"
    stop = metrics.serve(address)
    yield metrics, address
    stop()


def test_a_halted_publication_is_read_from_the_metrics(served) -> None:
    """As audit tells it: under the name that status asks for, with a label; 0 until it halts."""
    metrics, address = served
    halted = metrics.gauge("publish_halted", "1: evidence conflicts; publishing stopped.")
    assert 0 == probe.metric(address, "tollgate_publish_halted")
    halted.set(1)
    assert 1 == probe.metric(address, "tollgate_publish_halted")


def test_a_metric_that_is_not_there_is_none(served) -> None:
    """No such name, a name that only begins so, nobody who answers."""
    metrics, address = served
    metrics.gauge("publish_halted_twice", "Another.").set(1)
    assert None is probe.metric(address, "tollgate_publish_halted")
    assert None is probe.metric(f"{ports.LOOPBACK}:{ports.free_port()}", "tollgate_publish_halted")
