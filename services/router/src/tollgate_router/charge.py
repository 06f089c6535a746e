"""What a call is charged, given what its meter saw and how it ended.

Owns the rule of charging: an upstream's own report is the truth and is charged as it is, zero
included; anything counted or guessed by us never costs more than was reserved; an upstream that
failed before it produced anything costs nothing.
"""

import enum
import re
from dataclasses import dataclass, replace

from tollgate_dialects.cost import cost_nano_usd
from tollgate_dialects.price import Price
from tollgate_dialects.usage import NOTHING, Usage

# A byte-pair tokenizer makes a token of about four bytes of text.
_BYTES_PER_TOKEN = 4
# Media in a body: not text. The tokens of one are a usual image's.
_MEDIA = re.compile(rb"[A-Za-z0-9+/=]{512,}")
_MEDIA_TOKENS = 1_000


class EndReason(enum.Enum):
    """Why a call ended."""

    COMPLETED = "completed"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    COST_LIMIT = "cost_limit"
    CLIENT_GONE = "client_gone"
    NO_ROUTE = "no_route"


class Source(enum.Enum):
    """Where a charged usage comes from."""

    UPSTREAM = "upstream"
    PARTIAL = "partial"
    ESTIMATED = "estimated"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call is charged."""

    usage: Usage
    source: Source
    cost_nano_usd: int


FREE = Charge(NOTHING, Source.NONE, 0)


@dataclass(frozen=True, slots=True)
class Metered:
    """What a meter knows of a call so far."""

    usage: Usage
    source: Source
    # Output tokens counted from what was produced; never more than the upstream would count.
    output_units: int


def of_call(
    metered: Metered, reason: EndReason, *, body: bytes, price: Price, reserved_nano_usd: int
) -> Charge:
    """The charge of a call that an upstream took."""
    if metered.source is Source.UPSTREAM:
        return Charge(metered.usage, Source.UPSTREAM, cost_nano_usd(metered.usage, price))
    failed = reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT)
    produced = max(metered.output_units, metered.usage.output_tokens)
    if failed and not produced:
        return FREE
    usage, source = replace(metered.usage, output_tokens=produced), metered.source
    if not usage.total_input_tokens:
        usage, source = replace(usage, input_tokens=estimated_input_tokens(body)), Source.ESTIMATED
    elif source is not Source.PARTIAL:
        source = Source.PARTIAL
    return Charge(usage, source, min(cost_nano_usd(usage, price), reserved_nano_usd))


def running_cost_nano_usd(metered: Metered, price: Price) -> int:
    """What a stream has cost so far at the least: what was reported, and the output counted."""
    produced = max(metered.output_units, metered.usage.output_tokens)
    return cost_nano_usd(replace(metered.usage, output_tokens=produced), price)


def estimated_input_tokens(body: bytes) -> int:
    """A plain estimate from the request's bytes, for upstreams that do not say. Media count apart."""
    text, media = _MEDIA.subn(b"", body)
    return len(text) // _BYTES_PER_TOKEN + media * _MEDIA_TOKENS
