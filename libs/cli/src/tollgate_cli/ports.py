"""Which loopback ports the suite listens on: its default ones, others where those are taken."""

import socket

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True if nothing listens there now.

    Whoever binds later may still lose the race and must say so.
    """
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port of the kernel's choice."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def choose(preferred: int, taken: set[int]) -> int:
    """The preferred port if it can be had, else another; adds it to `taken`."""
    port = preferred if preferred not in taken and is_free(preferred) else free_port()
    while port in taken:
        port = free_port()
    taken.add(port)
    return port
