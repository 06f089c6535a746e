"""Who is calling and how long they will wait: per call, for unary RPCs and sessions alike."""

from contextvars import ContextVar

_caller: ContextVar[str] = ContextVar("tollgate_caller", default="")


def caller() -> str:
    """The identity of the caller, from its certificate; empty outside a call."""
    return _caller.get()


def set_caller(identity: str) -> None:
    """Called by the server's interceptor only."""
    _caller.set(identity)
