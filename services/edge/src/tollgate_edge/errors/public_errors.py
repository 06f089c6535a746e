"""The only table from a reason to what a client is told: HTTP status, code, fixed message.

Owns every word that the gateway says about a failure. Promises: a reason that is not listed
becomes 502 upstream_error; nothing an upstream said is shown except the scrubbed message of the
statuses that clients recover from and a code of the client's own protocol; 401 is only for a key
proven bad, 402 for money, 429 for rates, 503 for our own fault. Never sees a body, URL or key.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tollgate_dialects.answer.upstream_error import told_param
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_edge.errors.money import usd
from tollgate_edge.errors.money_words import CHARGED, CHARGES, UNKNOWN_CHARGE, Shortfall
from tollgate_edge.errors.rates_left import RatesLeft


@dataclass(frozen=True, slots=True)
class PublicError:
    """What a client is told, and whether trying again may help."""

    status: int
    code: str
    message: str
    retryable: bool = False
    # When trying again may help, in milliseconds; None: not known.
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused or failed call: the table's row, and the facts that belong to this call."""

    error: PublicError
    # The table's key: goes to the evidence, the log and the metrics.
    reason: str
    # Replaces the fixed message: only from End.upstream_error, scrubbed by router.
    upstream_message: str = ""
    upstream_code: str = ""
    upstream_param: str = ""
    param: str | None = None
    # Fixed words of our own that SDKs act on.
    details: Mapping[str, str] | None = None
    # For this very call: takes the place of the table's.
    retry_after_ms: int | None = None
    # 402: which account refused.
    account_id: str = ""
    # What is missing there, and what would fit; None when nothing would, or no amount helps.
    shortfall: Shortfall | None = None
    affordable_max_tokens: int | None = None
    # 429: the limit that is reached, in words.
    limit: str = ""
    # What this and the key's other limits have left.
    rates: RatesLeft | None = None
    # What the call itself is charged; empty for one that was not made.
    charge: str = ""
    # For how long every other call of the key would be refused alike; 0: another may pass.
    stands_ms: int = 0
    allow: str = ""
    close: bool = False

    @property
    def status(self) -> int:
        return self.error.status

    @property
    def retryable(self) -> bool:
        """Whether a client may try again by itself: not where that would cost twice."""
        return self.error.retryable and self.charge not in (CHARGED, UNKNOWN_CHARGE)

    @property
    def retry_ms(self) -> int | None:
        """When trying again may help, in milliseconds."""
        return self.error.retry_after_ms if self.retry_after_ms is None else self.retry_after_ms

    @property
    def message(self) -> str:
        if self.upstream_message:
            return self.upstream_message
        message = self.error.message
        if self.limit:
            message += f" It allows {self.limit}."
        if self.shortfall is not None:
            message += self.shortfall.words
        elif self.account_id:
            message += f" The account is {self.account_id}."
        if self.affordable_max_tokens is not None:
            most = self.affordable_max_tokens
            message += f" What is left allows at most {most} output tokens for this request."
        return message + CHARGES[self.charge] if self.charge else message


_UNAVAILABLE = "The gateway cannot serve this call right now. Try again."
_NO_MODEL = "The model does not exist, or this key may not use it."
_UPSTREAM = "The model provider failed to answer."

UNKNOWN = PublicError(502, "upstream_error", _UPSTREAM, retryable=True)


def _ours(code: str, message: str = _UNAVAILABLE, *, after_ms: int | None = None) -> PublicError:
    return PublicError(503, code, message, retryable=True, retry_after_ms=after_ms)


def _share(code: str, message: str) -> PublicError:
    """A share of one's own is in use: others are still served."""
    return PublicError(429, code, message, retryable=True, retry_after_ms=1000)


# Reasons of failed RPCs: names of tollgate.common.v1.ErrorReason.
RPC_FAILURES = MappingProxyType(
    {
        "INVALID_FIELD": PublicError(500, "internal_error", "The gateway made a mistake."),
        "IDEMPOTENCY_MISMATCH": PublicError(500, "internal_error", "The gateway made a mistake."),
        "CALLER_NOT_ALLOWED": _ours("gateway_misconfigured"),
        "STORE_UNAVAILABLE": _ours("service_unavailable"),
        "DEADLINE_TOO_SHORT": _ours("service_unavailable"),
        "AUDIT_NOT_DURABLE": _ours(
            "audit_not_durable", "The call could not be recorded, so it was not made. Try again."
        ),
        "OVERLOADED": _ours("overloaded", "The gateway is at its capacity. Try again."),
        "SESSION_BROKEN": _ours("service_unavailable"),
        "DRAINING": _ours("service_unavailable"),
        "NOT_FOUND": PublicError(404, "model_not_found", _NO_MODEL),
        "ABOVE_RESERVE": PublicError(500, "internal_error", "The gateway made a mistake."),
        "ALREADY_EXISTS": PublicError(500, "internal_error", "The gateway made a mistake."),
        "RESERVATION_REFUSED": _ours("reservation_refused"),
        "SEQUENCE_REFUSED": _ours("audit_not_durable"),
        "OUTCOME_UNKNOWN": _ours("service_unavailable"),
        "DEADLINE_EXCEEDED": _ours("service_timeout", "The gateway did not answer in time."),
        "INTERNAL": PublicError(500, "internal_error", "The gateway made a mistake."),
    }
)

# Names of tollgate.authz.v1.DenialReason.
_BAD_KEY = "The API key is not valid."
AUTHZ_DENIALS = MappingProxyType(
    {
        "UNKNOWN_KEY": PublicError(401, "invalid_api_key", _BAD_KEY),
        "REVOKED": PublicError(401, "api_key_revoked", "The API key was revoked."),
        "EXPIRED": PublicError(401, "api_key_expired", "The API key has expired."),
        "DISABLED": PublicError(401, "api_key_disabled", "The API key is disabled."),
        # The same words as for a model that does not exist: lists cannot be probed.
        "MODEL_NOT_ALLOWED": PublicError(404, "model_not_found", _NO_MODEL),
        "IP_NOT_ALLOWED": PublicError(
            403, "address_not_allowed", "The API key may not be used from this address."
        ),
        "TENANT_SUSPENDED": PublicError(403, "account_suspended", "The account is suspended."),
    }
)

# Names of tollgate.budget.v1.DenialReason.
BUDGET_DENIALS = MappingProxyType(
    {
        "BUDGET_EXHAUSTED": PublicError(
            402, "budget_exhausted", "The budget left does not cover what this call may cost."
        ),
        "RATE_LIMITED": PublicError(
            429, "rate_limit_exceeded", "The rate limit of this key is reached.", retryable=True
        ),
        "ACCOUNT_FROZEN": PublicError(
            402,
            "budget_frozen",
            "More than the budget is in use. It opens when its limit is raised or renewed.",
        ),
        "ACCOUNT_UNKNOWN": PublicError(
            402, "budget_missing", "An account of this key is not open."
        ),
        # Money, so 402; but some of it comes back when the calls in flight end.
        "BUDGET_HELD": PublicError(
            402,
            "budget_held",
            "Calls in flight hold the budget that this call may need. Try again when they end.",
            retryable=True,
            retry_after_ms=1000,
        ),
        "RESERVATION_ENDED": _ours("service_unavailable"),
    }
)

# Names of tollgate.router.v1.EndReason, for calls that did not complete.
END_REASONS = MappingProxyType(
    {
        "UPSTREAM_ERROR": UNKNOWN,
        "UPSTREAM_TIMEOUT": PublicError(
            504, "upstream_timeout", "The model provider did not answer in time.", retryable=True
        ),
        "COST_LIMIT": PublicError(
            402, "cost_limit_reached", "The call was cut: it reached the cost reserved for it."
        ),
        "CLIENT_GONE": PublicError(499, "client_gone", "The client closed the connection."),
        "NO_ROUTE": _ours("no_route", "No provider can serve this model right now. Try again."),
    }
)

# Its key is dead or its account empty: only the operator can help, so nobody need try again.
_NO_USE = PublicError(
    502, "provider_unavailable", "The gateway's access to the model provider does not work."
)
# Statuses of an upstream that are the operator's to act on: a fixed text.
OPERATOR_STATUSES = MappingProxyType({401: _NO_USE, 402: _NO_USE, 403: _NO_USE})

# Statuses of an upstream that are the client's to act on: its status is kept, its message shown.
UPSTREAM_STATUSES = MappingProxyType(
    {
        400: PublicError(400, "invalid_request", "The model provider refused the request."),
        404: PublicError(404, "not_found", "The model provider does not know what was asked for."),
        413: PublicError(413, "request_too_large", "The model provider found the request too big."),
        422: PublicError(422, "invalid_request", "The model provider refused the request."),
        429: PublicError(
            429, "upstream_rate_limited", "The model provider is at its limit.", retryable=True
        ),
    }
)

# What the edge itself refuses.
OWN = MappingProxyType(
    {
        "KEY_MISSING": PublicError(
            401,
            "missing_api_key",
            "Send an API key as Authorization: Bearer, x-api-key, x-goog-api-key or api-key.",
        ),
        "KEY_MALFORMED": PublicError(401, "invalid_api_key", _BAD_KEY),
        "KEY_AMBIGUOUS": PublicError(
            401, "ambiguous_api_key", "The request carries more than one API key."
        ),
        "KEY_IN_QUERY": PublicError(
            401, "api_key_in_url", "An API key must be sent in a header, never in the URL."
        ),
        "AUTHZ_UNREACHABLE": _ours("service_unavailable"),
        "NOT_A_ROUTE": PublicError(404, "route_not_found", "There is nothing at this path."),
        "METHOD_NOT_ALLOWED": PublicError(
            405, "method_not_allowed", "This path does not take this method."
        ),
        "CROSS_ORIGIN_OFF": PublicError(
            403,
            "cross_origin_off",
            "Calls from web pages of another origin are off on this gateway. "
            "Its operator turns them on with the setting cross_origin.origins.",
        ),
        "ORIGIN_NOT_ALLOWED": PublicError(
            403,
            "origin_not_allowed",
            "This web page's origin may not call. "
            "The gateway's operator adds it to the setting cross_origin.origins.",
        ),
        "BODY_TOO_LARGE": PublicError(413, "request_too_large", "The request body is too large."),
        "BODY_TOO_SLOW": PublicError(408, "request_timeout", "The request body came too slowly."),
        "BODY_INCOMPLETE": PublicError(400, "incomplete_body", "The request body is incomplete."),
        "BODY_ENCODED": PublicError(
            415, "content_encoding_refused", "Send the request body without Content-Encoding."
        ),
        "HTTP_MALFORMED": PublicError(400, "malformed_request", "This is not an HTTP/1.1 request."),
        "CALLS_AT_LIMIT": _ours(
            "overloaded", "The gateway is at its capacity. Try again.", after_ms=1000
        ),
        "CALLS_OF_KEY_AT_LIMIT": _share("too_many_calls", "This key has too many calls in flight."),
        "CHECKS_OF_ADDRESS_AT_LIMIT": _share(
            "too_many_calls", "This address has too many calls in flight."
        ),
        "BYTES_OF_KEY_AT_LIMIT": _share(
            "too_many_bytes", "This key has too many bytes of request bodies in flight."
        ),
        "STREAMS_AT_LIMIT": _share("too_many_streams", "This key has too many streams open."),
        "STOPPING": _ours("stopping", "The gateway is restarting. Try again.", after_ms=1000),
        "CATALOGUE_EMPTY": _ours("service_unavailable"),
        "MODEL_UNKNOWN": PublicError(404, "model_not_found", _NO_MODEL),
        "MODEL_NOT_ON_PATH": PublicError(
            404,
            "model_not_on_path",
            "No provider of this model serves this path; it takes one that speaks OpenAI chat.",
        ),
        "READER_LOST": _ours("service_unavailable"),
        "BUDGET_UNREACHABLE": _ours("service_unavailable"),
        "ROUTER_UNREACHABLE": _ours("service_unavailable"),
        "ROUTER_LOST": _ours("call_interrupted", "The call was interrupted."),
        # Not an invitation to try again: the model has done the work.
        "AUDIT_LATE": PublicError(
            503,
            "audit_not_durable",
            "The call was made, but could not be recorded in time, so its answer is withheld.",
        ),
        "ANSWER_TOO_LARGE": PublicError(
            502, "answer_too_large", "The model provider's answer is too large."
        ),
        "RECEIPT_NOT_FOUND": PublicError(404, "receipt_not_found", "There is no such receipt."),
        "AUDIT_UNREACHABLE": _ours("service_unavailable"),
        "INTERNAL": PublicError(500, "internal_error", "The gateway made a mistake."),
    }
)

# The strict reader's codes (tollgate_dialects.request.request.BadRequest) have one row: its
# messages are fixed texts of our own about the shape of the body, and never quote it.
BAD_REQUEST = PublicError(400, "invalid_request", "The request body is not valid.")

# Router refuses in the reader's words what an upstream's protocol cannot carry.
_ROUTERS_CODES = frozenset(code.value for code in Code)


def own(reason: str) -> Refusal:
    """A refusal by the edge itself."""
    return Refusal(OWN[reason], reason)


def method_not_allowed(allow: str) -> Refusal:
    """A path that is there, asked in another way."""
    return Refusal(OWN["METHOD_NOT_ALLOWED"], "METHOD_NOT_ALLOWED", allow=allow)


def rpc_failure(reason: str) -> Refusal:
    """A service gave no answer."""
    return Refusal(RPC_FAILURES.get(reason, UNKNOWN), reason)


def authz_denial(reason: str) -> Refusal:
    """The answer of authz was no."""
    return Refusal(AUTHZ_DENIALS.get(reason, RPC_FAILURES["INTERNAL"]), reason)


def rate_denial(
    *, limit: str, rates: RatesLeft | None, retry_after_ms: int | None, tokens: int = 0
) -> Refusal:
    """A rate limit is reached; waiting does not help a call of so many tokens without a time."""
    error = BUDGET_DENIALS["RATE_LIMITED"]
    if retry_after_ms is None:
        told = f"This call alone counts as {tokens} tokens, which is above the rate limit: "
        error = PublicError(error.status, error.code, f"{told}give a smaller max_tokens.")
    return Refusal(error, "RATE_LIMITED", retry_after_ms=retry_after_ms, limit=limit, rates=rates)


def money_denial(reason: str, shortfall: Shortfall) -> Refusal:
    """The money does not suffice on one of the call's accounts."""
    error = BUDGET_DENIALS.get(reason, RPC_FAILURES["INTERNAL"])
    told = shortfall if reason in ("BUDGET_EXHAUSTED", "BUDGET_HELD") else None
    known = reason in BUDGET_DENIALS
    return Refusal(error, reason, account_id=shortfall.account_id if known else "", shortfall=told)


def bad_request(bad: BadRequest) -> Refusal:
    """The strict reader refused the body, or its price what it asks for."""
    error = PublicError(BAD_REQUEST.status, bad.code, bad.told)
    return Refusal(error, "BAD_REQUEST", param=bad.param or None, details=bad.details)


def upstream_failure(
    end_reason: str,
    *,
    status: int,
    message: str,
    code: str,
    param: str,
    retry_after_ms: int | None,
) -> Refusal:
    """The call ended without a complete answer."""
    kept = UPSTREAM_STATUSES.get(status) if end_reason == "UPSTREAM_ERROR" else None
    if kept is None:
        error = END_REASONS.get(end_reason, UNKNOWN)
        if error is UNKNOWN:
            error = OPERATOR_STATUSES.get(status, error)
        return Refusal(error, end_reason)
    return Refusal(
        kept,
        end_reason,
        upstream_message=message,
        upstream_code=code,
        upstream_param=param,
        retry_after_ms=retry_after_ms,
    )


def body(
    refusal: Refusal, *, kind: str, trace_id: str, request_id: str,
    codes: Container[str] = (), params: Container[str] = (),
) -> dict[str, object]:  # fmt: skip
    """The body, OpenAI's and Anthropic's at once; `kind`, `codes`, `params`: the protocol's."""
    told = refusal.upstream_code
    error: dict[str, object] = {
        "type": kind,
        "code": told if told in codes or told in _ROUTERS_CODES else refusal.error.code,
        "message": refusal.message,
        "param": refusal.param or told_param(refusal.upstream_param, params),
        "trace_id": trace_id,
    }
    if refusal.affordable_max_tokens is not None:
        error["affordable_max_tokens"] = refusal.affordable_max_tokens
    named = {"account": refusal.account_id, "limit": refusal.limit, "charge": refusal.charge}
    error |= {name: said for name, said in named.items() if said}
    short = refusal.shortfall
    if short is not None:
        error["remaining_usd"] = usd(short.remaining_nano_usd)
        error["held_usd"] = usd(short.held_nano_usd)
        if short.required_nano_usd is not None:
            error["required_usd"] = usd(short.required_nano_usd)
    if refusal.details is not None:
        error["details"] = dict(refusal.details)
    return {"type": "error", "error": error, "request_id": request_id}
