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


class Unreached(enum.Enum):
    """Why there is no connection: for the operator, who can do something about it."""

    NAME = "name_not_found"
    # The name leads to where no provider may be.
    NOT_ALLOWED = "address_not_allowed"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    # What is there speaks no TLS, or none of ours.
    TLS = "tls"
    CERTIFICATE = "certificate"
    # By the other side, before anything was sent.
    CLOSED = "closed"


class UpstreamFault(Exception):  # noqa: N818 - it is what happened
    """An attempt failed without an answer to pass on. Holds one word, or two of a CONNECT."""

    def __init__(self, fault: Fault, unreached: Unreached | None = None) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.unreached = unreached
