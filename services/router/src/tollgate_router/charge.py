"""What a call is charged, given what its meter saw and how it ended.

Owns the rule of charging: an upstream's own report is the truth and is charged as it is, zero
included; anything counted or guessed by us never costs more than was reserved; an upstream that
failed before it produced anything of use costs nothing.
"""

import enum
import re
from dataclasses import dataclass, replace

from tollgate_dialects.cost import cost_nano_usd
from tollgate_dialects.price import Price
from tollgate_dialects.usage import NOTHING, Usage, UsageSource

# An answer that its upstream broke off within so many tokens is not charged: nobody got anything.
# Upstreams report a few output tokens before the first word, so zero would never be seen.
TOO_LITTLE_TOKENS = 8
# A plain estimate of the input, for upstreams that report none: text at four bytes a token, a
# medium (base64) as a usual image.
_BYTES_PER_TOKEN = 4
_MEDIUM = re.compile(rb"[A-Za-z0-9+/=]{512,}")
_MEDIUM_TOKENS = 1_000
# The meter counts a token for each 3 bytes of text, high on purpose. A stream is cut by a low
# count, a token for each 16 bytes (escaped Chinese has 9): one that keeps the output limit it was
# sent with is never cut, and an endless one is.
_CUT_NUMERATOR, _CUT_DENOMINATOR = 3, 16


class EndReason(enum.Enum):
    """Why a call ended."""

    COMPLETED = "completed"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    COST_LIMIT = "cost_limit"
    CLIENT_GONE = "client_gone"
    NO_ROUTE = "no_route"


_FAILED = frozenset((EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT))


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call is charged."""

    usage: Usage
    source: UsageSource
    cost_nano_usd: int


FREE = Charge(NOTHING, UsageSource.NONE, 0)


def of_call(
    usage: Usage,
    source: UsageSource,
    reason: EndReason,
    *,
    body: bytes,
    price: Price,
    reserved_nano_usd: int,
) -> Charge:
    """The charge of a call that an upstream took; usage and source are the meter's."""
    if source is UsageSource.UPSTREAM:
        return Charge(usage, source, cost_nano_usd(usage, price))
    if source is UsageSource.NONE:
        return FREE
    if reason in _FAILED and usage.output_tokens <= TOO_LITTLE_TOKENS:
        return FREE
    if not usage.total_input_tokens:
        usage = replace(usage, input_tokens=estimated_input_tokens(body))
    return Charge(usage, source, min(cost_nano_usd(usage, price), reserved_nano_usd))


def is_spent(usage: Usage, source: UsageSource, *, price: Price, reserved_nano_usd: int) -> bool:
    """Whether a running stream costs more than was reserved for it, counted low."""
    if source is not UsageSource.UPSTREAM:
        low = usage.output_tokens * _CUT_NUMERATOR // _CUT_DENOMINATOR
        usage = replace(usage, output_tokens=low)
    return cost_nano_usd(usage, price) > reserved_nano_usd


def estimated_input_tokens(body: bytes) -> int:
    """What a request is taken to have made its upstream read."""
    text, media = _MEDIUM.subn(b"", body)
    return len(text) // _BYTES_PER_TOKEN + media * _MEDIUM_TOKENS
