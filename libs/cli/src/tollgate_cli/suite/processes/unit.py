"""A unit is one process of the suite: how it starts, and how one sees that it is up."""

from collections.abc import Callable
from dataclasses import dataclass

from tollgate_cli.suite.processes.child import Command


@dataclass(frozen=True)
class Unit:
    """A process. A wave starts together; waves start in order and stop in reverse."""

    name: str
    wave: int
    address: str
    command: Command
    ready: Callable[[], bool]
    before_start: Callable[[], None] = lambda: None
    ready_timeout_s: float = 45.0
    stop_timeout_s: float = 20.0
    # host:port of its metrics; empty: it has none.
    metrics: str = ""


WAVE_ENGINES = 0
WAVE_AUDIT = 1
WAVE_SERVICES = 2
WAVE_EDGE = 3
