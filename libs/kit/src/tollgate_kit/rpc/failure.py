"""The one exception that crosses RPCs: a status code, a reason of the closed enum, metadata.

Failure                 raised by servicers, and by clients for a failed call
 └ .code                grpc.StatusCode
 └ .reason              name of a tollgate.common.v1.ErrorReason without its prefix
 └ .metadata            names and numbers only: never a body, a URL, a key or upstream text
 └ .may_have_been_sent  False if the request provably never left this process
"""

import grpc

from tollgate.common.v1 import errors_pb2
from tollgate_kit.logs import Log

DOMAIN = "tollgate"
_PREFIX = "ERROR_REASON_"
REASONS = frozenset(name.removeprefix(_PREFIX) for name in errors_pb2.ErrorReason.keys())  # noqa: SIM118 - an enum wrapper, not a dict

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Failure(Exception):  # noqa: N818 - the field's word; every name here would end in Error
    """No answer was given. AIP-193: one reason, dynamic parts in metadata."""

    def __init__(self, code: grpc.StatusCode, reason: str, **metadata: str) -> None:
        assert reason in REASONS, f"not an ErrorReason: {reason}"
        super().__init__(f"{code.name}/{reason}")
        self.code = code
        self.reason = reason
        self.metadata = metadata
        self.may_have_been_sent = True

    @property
    def retryable(self) -> bool:
        """AIP-194: only UNAVAILABLE may be tried again automatically, with the same ids."""
        return self.code is grpc.StatusCode.UNAVAILABLE


def from_wire(code: int, reason: str, metadata: dict[str, str]) -> Failure:
    """A Failure as a peer sent it; an unknown code or reason becomes INTERNAL."""
    known = reason if reason in REASONS else "INTERNAL"
    return Failure(_CODES.get(code, grpc.StatusCode.UNKNOWN), known, **metadata)


def from_exception(error: Exception, method: str, log: Log) -> Failure:
    """What the caller is told of a servicer's exception; what is no Failure is a bug and logged."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, TimeoutError):
        return deadline_exceeded()
    log.exception("rpc.bug", error, method=method)  # noqa: LOG004 - our Log is given the error
    return internal()


def invalid_field(field: str, why: str = "") -> Failure:
    return Failure(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", field=field, why=why)


def mismatch(identifier: str, field: str) -> Failure:
    return Failure(
        grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_MISMATCH", id=identifier, field=field
    )


def already_exists(kind: str, identifier: str) -> Failure:
    return Failure(grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS", kind=kind, id=identifier)


def not_found(kind: str, identifier: str) -> Failure:
    return Failure(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", kind=kind, id=identifier)


def outcome_unknown() -> Failure:
    """Something was sent to a store and its fate could not be read back."""
    return Failure(grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")


def draining() -> Failure:
    """The replica that was asked takes nothing new; another may."""
    return Failure(grpc.StatusCode.UNAVAILABLE, "DRAINING")


def store_unavailable(store: str) -> Failure:
    return Failure(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", store=store)


def overloaded(what: str) -> Failure:
    return Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", what=what)


def audit_not_durable() -> Failure:
    return Failure(grpc.StatusCode.UNAVAILABLE, "AUDIT_NOT_DURABLE")


def session_broken(peer: str, *, may_have_been_sent: bool = True) -> Failure:
    failure = Failure(grpc.StatusCode.UNAVAILABLE, "SESSION_BROKEN", peer=peer)
    failure.may_have_been_sent = may_have_been_sent
    return failure


def deadline_exceeded() -> Failure:
    return Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


def internal() -> Failure:
    return Failure(grpc.StatusCode.INTERNAL, "INTERNAL")
