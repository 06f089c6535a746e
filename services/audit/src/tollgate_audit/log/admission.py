"""Which producer may append which kind of entry, and what the payload of each kind holds.

Pure. Promises: what is admitted can be read by everybody who reads the log later, the verifier
(tollgate_tlog.entry_check) and the receipts included: a member that is required is there, a known
member has its type and range. Default deny: a producer that is not named appends nothing, a kind
that is not named is nobody's. A member that is not known is admitted when it is a plain value: a
producer may be newer than audit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_OF_EVERYBODY = frozenset({"PRODUCER_STARTED", "PRODUCER_STOPPED"})
# Certificate identity -> the kinds it may append.
PRODUCERS: Mapping[str, frozenset[str]] = {
    identity: _OF_EVERYBODY | frozenset(kinds)
    for identity, kinds in {
        "edge-api": ("CALL_ADMITTED", "CALL_FINISHED", "CALL_DENIED"),
        "edge-portal": ("LOGIN",),
        "edge-console": ("LOGIN",),
        "authz": ("TENANT_CHANGED", "KEY_ISSUED", "KEY_CHANGED", "KEY_REVOKED"),
        "budget": ("BUDGET_CHANGED",),
        "router": ("PROVIDER_CHANGED", "PRICE_CHANGED", "RESPONSE_DELETED"),
    }.items()
}


class KindNotAllowed(Exception):  # noqa: N818 - it is what happened
    """The producer does not append entries of this kind."""


class PayloadRefused(ValueError):  # noqa: N818 - it is what happened
    """The payload is not one of its kind: the member, and why."""

    def __init__(self, member: str, why: str) -> None:
        super().__init__(f"{member}: {why}")
        self.member = member
        self.why = why


def _text(value: object) -> bool:
    return type(value) is str


def _name(value: object) -> bool:
    return type(value) is str and bool(value)


def _truth(value: object) -> bool:
    return type(value) is bool


def _amount(value: object) -> bool:
    return type(value) is int and value >= 0


def _names(value: object) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def _amounts(value: object) -> bool:
    return type(value) is dict and all(map(_amount, value.values()))


def _plain(value: object) -> bool:
    return value is None or type(value) in (str, int, bool)


Check = Callable[[object], bool]
_WHAT: Mapping[Check, str] = {
    _text: "a string",
    _name: "a string that is not empty",
    _truth: "a boolean",
    _amount: "an integer of 0 or more",
    _names: "a list of strings",
    _amounts: "an object of integers of 0 or more",
    _plain: "a string, an integer, a boolean or null",
}


@dataclass(frozen=True, slots=True)
class _Schema:
    """Required members, known ones that may be left out, and which of these need another."""

    required: Mapping[str, Check]
    optional: Mapping[str, Check] = field(default_factory=dict)
    together: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, Check] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", {**self.required, **self.optional})


_WHEN = {"time_unix_ms": _amount}
_BY_OPERATOR = {"request_id": _name, "action": _name, "actor": _text, **_WHEN}
_OF_AUTHZ = {"request_id": _name, "change": _name, "actor": _text, **_WHEN}
_OF_KEY = {"key_id": _name, **_OF_AUTHZ}

SCHEMAS: Mapping[str, _Schema] = {
    "PRODUCER_STARTED": _Schema({}),
    "PRODUCER_STOPPED": _Schema({}),
    "CALL_ADMITTED": _Schema(
        {
            "reservation_id": _name,
            "account_ids": _names,
            "amount_nano_usd": _amount,
            "model": _text,
            "protocol": _text,
            **_WHEN,
        },
        {"stream": _truth, "price_version": _amount},
    ),
    "CALL_FINISHED": _Schema(
        {
            "reservation_id": _name,
            "cost_nano_usd": _amount,
            "charged": _truth,
            "charge_reason": _text,
            "usage": _amounts,
            "usage_source": _text,
            "price_version": _amount,
            "end_reason": _text,
            "http_status": _amount,
            "route": _text,
            "attempts": _amount,
            "model": _text,
            **_WHEN,
        },
        {"quarantined_nano_usd": _amount},
    ),
    "CALL_DENIED": _Schema({"reason": _text, "model": _text, **_WHEN}, {"account_id": _name}),
    "LOGIN": _Schema(_WHEN),
    "TENANT_CHANGED": _Schema(_OF_AUTHZ),
    "KEY_ISSUED": _Schema(_OF_KEY, {"allowed_models": _names, "ip_allowlist": _names}),
    "KEY_CHANGED": _Schema(_OF_KEY),
    "KEY_REVOKED": _Schema(_OF_KEY),
    "PROVIDER_CHANGED": _Schema(_BY_OPERATOR, {"models": _names}),
    "PRICE_CHANGED": _Schema(_BY_OPERATOR),
    "RESPONSE_DELETED": _Schema(
        {"response_sha256": _name, "provider": _name, "model": _name, **_WHEN}
    ),
    "BUDGET_CHANGED": _Schema(
        _BY_OPERATOR,
        {"reservation_id": _name, "amount_nano_usd": _amount},
        # A resolution of a quarantine: the verifier compares its amount with the ledger.
        together={"reservation_id": "amount_nano_usd"},
    ),
}


def check(identity: str, kind: str, payload: Mapping[str, Any]) -> None:
    """Raise KindNotAllowed or PayloadRefused unless this producer may append this entry."""
    schema = SCHEMAS.get(kind)
    if schema is None or kind not in PRODUCERS.get(identity, ()):
        raise KindNotAllowed
    if not payload.keys() >= schema.required.keys():
        missing = next(member for member in schema.required if member not in payload)
        raise PayloadRefused(missing, "is missing")
    known = schema.known
    for member, value in payload.items():
        right = known.get(member, _plain)
        # Most members are texts or amounts: those that are right are spared the call.
        if right is _text and type(value) is str:
            continue
        if right is _amount and type(value) is int and value >= 0:
            continue
        if not right(value):
            raise PayloadRefused(member, f"must be {_WHAT[right]}")
    for member, other in schema.together.items():
        if member in payload and other not in payload:
            raise PayloadRefused(other, "is missing")
