"""What can go wrong on the way to or from an upstream: one word, never its text."""

import enum


class Fault(enum.Enum):
    """What went wrong."""

    # Nothing was sent.
    CONNECT = "connect"
    TIMEOUT = "timeout"
    # Reset, cut short, or not HTTP.
    BROKEN = "broken"
    # Compressed although identity was asked for.
    ENCODED = "encoded"
    OVERSIZE = "oversize"


class UpstreamFault(Exception):  # noqa: N818 - it is what happened
    """An attempt failed without an answer to pass on. Holds one word."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault
