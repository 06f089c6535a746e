"""What a call is charged, given what its meter saw and how it ended.

Owns the table of docs/charging.md. Promises: an upstream's own final report is the truth and is
charged as it is, zero included; what we counted ourselves never costs more than was reserved; a
call that reached an upstream is free only if the upstream itself said that it failed, and had
produced nothing. What an upstream that broke off has done, nobody knows: its reservation stays
counted until somebody does.
"""

import enum
from dataclasses import replace
from typing import NamedTuple

from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage, UsageSource
from tollgate_dialects.request.variants import Variant

# A plain estimate of the input, for upstreams that report none: text at three bytes a token, high
# for every language that is common; a medium (base64) as a usual image.
_BYTES_PER_TOKEN = 3
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_MARKS = bytes(ord("x") if byte in _BASE64 else ord(" ") for byte in range(256))
_MEDIUM = b"x" * 512
_MEDIUM_TOKENS = 1_000
# The meter counts a token for each 3 bytes of text, high on purpose. A stream is cut by a low
# count, a token for each 16 bytes (escaped Chinese has 9): one that keeps the output limit it was
# sent with is never cut, and an endless one is.
_CUT_NUMERATOR, _CUT_DENOMINATOR = 3, 16
_CONTAINER = Unit.CONTAINER.position


class EndReason(enum.Enum):
    """Why a call ended."""

    COMPLETED = "completed"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    COST_LIMIT = "cost_limit"
    CLIENT_GONE = "client_gone"
    NO_ROUTE = "no_route"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


# Our side closed the connection; the upstream had not failed.
_CUT = frozenset((EndReason.COST_LIMIT, EndReason.CLIENT_GONE))


class Seen(NamedTuple):
    """What a meter knows of an answer when its call ends."""

    usage: Usage
    source: UsageSource
    # The upstream's last word on usage was read.
    is_final: bool
    # Any text, reasoning or tool call was seen.
    has_output: bool
    # The upstream said in so many words that it failed.
    is_failure_told: bool


class Asked(NamedTuple):
    """What the upstream was asked for that bears on its price."""

    variants: tuple[Variant, ...] = ()
    # Containers that it may run code in and bill.
    containers: int = 0


NOTHING_ASKED = Asked()


class Charge(NamedTuple):
    """What a call is charged; with `is_unknown` nothing, and its reservation stays counted."""

    usage: Usage
    source: UsageSource
    cost_nano_usd: int
    is_unknown: bool = False


FREE = Charge(NOTHING, UsageSource.NONE, 0)
# An upstream was asked, and not even the head of an answer came.
UNHEARD = Charge(NOTHING, UsageSource.NONE, 0, is_unknown=True)


def seen(meter: BodyMeter | StreamMeter) -> Seen:
    """The facts of a meter that bear on a charge."""
    source = meter.usage_source
    return Seen(
        meter.usage_of(source),
        source,
        meter.is_final and source is UsageSource.UPSTREAM,
        meter.produced,
        meter.is_failure_told,
    )


def of_call(
    seen: Seen,
    reason: EndReason,
    *,
    body: bytes,
    price: Price,
    reserved_nano_usd: int,
    asked: Asked = NOTHING_ASKED,
) -> Charge:
    """The charge of a call that an upstream took."""
    usage, source = _as_asked(seen.usage, price, asked), seen.source
    if seen.is_final:
        return Charge(usage, source, cost_nano_usd(usage, price))
    is_told = reason is EndReason.COMPLETED or seen.is_failure_told
    if not is_told and not (reason in _CUT and seen.has_output):
        return Charge(usage, source, 0, is_unknown=True)
    if seen.is_failure_told and not seen.has_output:
        return FREE
    if not usage.total_input_tokens:
        usage = usage.with_count(Unit.INPUT, estimated_input_tokens(body))
    return Charge(usage, source, min(cost_nano_usd(usage, price), reserved_nano_usd))


def _as_asked(usage: Usage, price: Price, asked: Asked) -> Usage:
    """The usage with what its rates are multiplied by, and without containers that are free.

    Nothing used costs nothing.
    """
    if usage.counts[_CONTAINER] > asked.containers:
        usage = usage.with_count(Unit.CONTAINER, asked.containers)
    if not (usage.served or asked.variants) or usage == NOTHING:
        return usage
    factor_ppm = price.served(usage.served, asked.variants)
    return replace(usage, factor_ppm=factor_ppm) if factor_ppm else usage


def is_spent(
    usage: Usage,
    source: UsageSource,
    *,
    price: Price,
    reserved_nano_usd: int,
    asked: Asked = NOTHING_ASKED,
) -> bool:
    """Whether a running stream costs more than was reserved for it, counted low."""
    usage = _as_asked(usage, price, asked)
    if source is not UsageSource.UPSTREAM:
        low = usage[Unit.OUTPUT] * _CUT_NUMERATOR // _CUT_DENOMINATOR
        usage = usage.with_count(Unit.OUTPUT, low)
    return cost_nano_usd(usage, price) > reserved_nano_usd


def estimated_input_tokens(body: bytes) -> int:
    """What a request is taken to have made its upstream read."""
    # A pattern takes seconds for runs that are almost a medium's.
    marked = body.translate(_MARKS)
    media, text_bytes = 0, len(body)
    start = marked.find(_MEDIUM)
    while start >= 0:
        end = marked.find(b" ", start)
        end = len(marked) if end < 0 else end
        media += 1
        text_bytes -= end - start
        start = marked.find(_MEDIUM, end)
    return text_bytes // _BYTES_PER_TOKEN + media * _MEDIUM_TOKENS
