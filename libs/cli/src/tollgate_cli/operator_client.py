"""The operator's side of the admin and read RPCs: channels, retries, and failures in plain words.

Promises: speaks only with the operator's certificate; a change keeps its request id over every
retry, so that it is carried out once; a failed call says what to do. Never: opens a store.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from tollgate.audit.v1 import audit_pb2_grpc
from tollgate.authz.v1 import authz_pb2_grpc
from tollgate.budget.v1 import budget_pb2_grpc
from tollgate.router.v1 import router_pb2_grpc
from tollgate_cli import certificates, state_file
from tollgate_cli.fault import Fault
from tollgate_cli.money import format_usd
from tollgate_kit import config
from tollgate_kit.config import PeerConfig, TlsConfig
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure

_ATTEMPTS = 4
_PAUSE_S = 0.25
_MORE = "`tollgate logs {service}` says more"


@dataclass(frozen=True)
class EvidenceConfig:
    """Where the log is, and the public key that its checkpoints are signed with."""

    directory: Path
    verifier_key: Path


@dataclass(frozen=True)
class OperatorConfig:
    """operator.toml: an operator's identity and where the services are."""

    tls: TlsConfig
    authz: PeerConfig
    budget: PeerConfig
    router: PeerConfig
    audit: PeerConfig
    evidence: EvidenceConfig | None = None


def load(path: Path, *, given: bool) -> OperatorConfig:
    """The configuration, or a Fault that says how to get one."""
    remedy = "correct it" if given else "`tollgate down` and `tollgate up` write it again"
    try:
        state_file.read_text(path, remedy)
        settings = config.load(path, OperatorConfig)
    except FileNotFoundError:
        if given:
            raise Fault(f"there is no operator configuration {path}") from None
        raise Fault(
            f"no suite was ever started here ({path} is missing)",
            "`tollgate up` starts one; TOLLGATE_HOME or --operator-config name another",
        ) from None
    except config.ConfigFaults as faults:
        raise Fault(str(faults), remedy) from faults
    broken = certificates.broken(settings.tls.ca, settings.tls.cert, settings.tls.key)
    if broken:
        what = f"{broken} holds no certificate or key that can be used"
        raise Fault(what, remedy)
    return settings


class NotFound(Fault):
    """What was asked for does not exist."""


class Refused(Fault):
    """A value breaks a rule of the service that was asked."""


class Operator:
    """Stubs of every admin and read service, and `call` to use them with."""

    def __init__(self, configuration: OperatorConfig) -> None:
        self._config = configuration
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        try:
            for name in ("authz", "budget", "router", "audit"):
                peer: PeerConfig = getattr(self._config, name)
                self._channels[name] = rpc_client.open_channel(peer, self._config.tls)
        except OSError as error:
            raise Fault(f"cannot read the operator's certificate: {error}") from error
        self.authz = authz_pb2_grpc.AuthzAdminServiceStub(self._channels["authz"])
        self.budget = budget_pb2_grpc.BudgetAdminServiceStub(self._channels["budget"])
        self.budget_read = budget_pb2_grpc.BudgetReadServiceStub(self._channels["budget"])
        self.router = router_pb2_grpc.RouterAdminServiceStub(self._channels["router"])
        self.audit_read = audit_pb2_grpc.AuditReadServiceStub(self._channels["audit"])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    async def call(self, rpc: Any, request: Any, *, timeout_s: float = 10.0) -> Any:
        """One RPC, tried again with the same request while it is unavailable. Raises Fault."""
        for attempt in range(_ATTEMPTS):
            try:
                return await rpc_client.call(rpc, request, timeout_s)
            except Failure as failure:
                if not failure.retryable or attempt == _ATTEMPTS - 1:
                    raise explain(failure, _service_of(rpc)) from failure
                await asyncio.sleep(_PAUSE_S * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _service_of(rpc: Any) -> str:
    method = getattr(rpc, "_method", b"")
    text = method.decode() if isinstance(method, bytes) else str(method)
    parts = text.removeprefix("/").split(".")
    return parts[1] if len(parts) > 1 else "a service"


def explain(failure: Failure, service: str) -> Fault:
    """A failure in words, with what to do about it."""
    say = _WORDS.get(failure.reason, _unknown)
    problem, remedy = say(failure.metadata, service)
    kind = {"NOT_FOUND": NotFound, "INVALID_FIELD": Refused}.get(failure.reason, Fault)
    return kind(problem, remedy.format(service=service))


Words = Callable[[dict[str, str], str], tuple[str, str]]


def _unknown(_metadata: dict[str, str], service: str) -> tuple[str, str]:
    return f"{service} failed on this request", _MORE


def _invalid(metadata: dict[str, str], _service: str) -> tuple[str, str]:
    field, why = metadata.get("field", "a field"), metadata.get("why", "")
    # What people give is a key, whatever it is called between services.
    field = "key" if field == "secret" else field
    return f"{field.replace('_', ' ')} was refused" + (f": {why}" if why else ""), ""


def _not_found(metadata: dict[str, str], _service: str) -> tuple[str, str]:
    return f"there is no {metadata.get('kind', 'thing')} {metadata.get('id', '')!r}", ""


def _exists(metadata: dict[str, str], _service: str) -> tuple[str, str]:
    kind, name = metadata.get("kind", "thing"), metadata.get("id", "")
    return (
        f"the {kind} {name!r} exists already, with other content",
        f"`tollgate {kind} list` shows it",
    )


def _mismatch(metadata: dict[str, str], _service: str) -> tuple[str, str]:
    field = metadata.get("field", "content")
    return f"this was asked for before with another {field}; nothing was changed", ""


def _above_reserve(metadata: dict[str, str], _service: str) -> tuple[str, str]:
    reserved = format_usd(int(metadata.get("reserved_nano_usd", "0")))
    return (
        f"that is more than the {reserved} that were reserved; nothing was changed",
        "if it did cost that: --above-reserve, which may freeze the account",
    )


def _down(_metadata: dict[str, str], service: str) -> tuple[str, str]:
    return (
        f"{service} does not answer",
        "is the suite running? `tollgate status` shows it, `tollgate up` starts it",
    )


def _store(metadata: dict[str, str], service: str) -> tuple[str, str]:
    store = metadata.get("store", "unknown")
    if store == "keyring":
        return f"{service} cannot reach its keyring", "is Vault up and unsealed? " + _MORE
    return f"{service} cannot reach its store ({store})", _MORE


def _audit(_metadata: dict[str, str], _service: str) -> tuple[str, str]:
    return (
        "nothing was changed: the audit log could not record it",
        "`tollgate logs audit` says why it cannot",
    )


def _caller(_metadata: dict[str, str], service: str) -> tuple[str, str]:
    return (
        f"{service} does not accept this certificate as an operator's",
        "check [tls] of the operator configuration",
    )


def _late(_metadata: dict[str, str], service: str) -> tuple[str, str]:
    return (
        f"{service} did not answer in time; whether it acted is not known",
        "run the command again",
    )


_WORDS: dict[str, Words] = {
    "INVALID_FIELD": _invalid,
    "NOT_FOUND": _not_found,
    "ALREADY_EXISTS": _exists,
    "IDEMPOTENCY_MISMATCH": _mismatch,
    "ABOVE_RESERVE": _above_reserve,
    "SESSION_BROKEN": _down,
    "DRAINING": _down,
    "STORE_UNAVAILABLE": _store,
    "AUDIT_NOT_DURABLE": _audit,
    "CALLER_NOT_ALLOWED": _caller,
    "DEADLINE_EXCEEDED": _late,
    "DEADLINE_TOO_SHORT": _late,
    "OUTCOME_UNKNOWN": _late,
}
