"""What can be measured: an endpoint, and the processes whose CPU time is spent on its answers."""

import enum
from dataclasses import dataclass

from tests.bench.children import Server
from tests.bench.load import Endpoint


class Kind(enum.Enum):
    """What a process counts as."""

    # A process of our own code, or of the gateway that is compared with it.
    GATEWAY = "gateway"
    # PostgreSQL and Redis.
    ENGINE = "engine"


@dataclass(frozen=True)
class Process:
    """The root of a process tree."""

    name: str
    pid: int
    kind: Kind


@dataclass(frozen=True)
class Target:
    """Something that answers calls."""

    name: str
    endpoint: Endpoint
    processes: tuple[Process, ...]


# The mock upstream itself, called without anything between: what latencies are compared with.
DIRECT = "mock alone"
SUITE = "tollgate"


def plain(name: str, server: Server) -> Target:
    """A target that is one process tree and needs no particular key."""
    process = Process(name, server.pid, Kind.GATEWAY)
    return Target(name, Endpoint(server.port, "bench-key"), (process,))
