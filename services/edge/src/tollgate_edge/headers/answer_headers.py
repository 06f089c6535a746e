"""The facts of a call as response headers, SSE comment and money texts.

Owns the names of the x-tollgate-* headers. Promises: every value is built from an integer, an id
of ours or a checked word, so that no header can be injected; money is exact decimal text.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tollgate_edge.errors.money import usd

_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Of names in one header.
_NAMES_MAX = 16
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
# Proxies must hand on a stream as it comes, and nobody may keep an answer.
NO_STORE = (b"cache-control", b"no-store")
NO_BUFFERING = (b"x-accel-buffering", b"no")
CLOSE = (b"connection", b"close")
FALLBACK = "fallback"


def route_name(provider: str, attempt: int) -> str:
    """What a customer is told of the route: the provider's name, or that it was a fallback."""
    if attempt > 1:
        return FALLBACK
    return provider if _WORD.fullmatch(provider) else "other"


class Facts(NamedTuple):
    """What is known of a call when its answer's head is sent; None is not known."""

    trace_id: str
    # The client's own id when it sent a proper one, else the trace id.
    request_id: str
    cost_nano_usd: int | None = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    remaining_nano_usd: int | None = None
    route: str | None = None
    receipt: int | None = None
    # As the client wrote them: any text.
    dropped_betas: tuple[str, ...] = ()
    # Of the request, by our own words, what the upstream's protocol could not carry.
    dropped: tuple[str, ...] = ()
    # What is left of the key's rates, ready.
    rates: Sequence[tuple[bytes, bytes]] = ()


def build(facts: Facts) -> Headers:
    """The headers that stand on every answer."""
    request_id = facts.request_id.encode("ascii")
    headers = [
        (b"x-request-id", request_id),
        (b"request-id", request_id),
        (b"x-tollgate-trace-id", facts.trace_id.encode("ascii")),
        NO_STORE,
    ]
    headers += [
        (_NAMES[name], value.encode("ascii"))
        for name, value in _texts(facts).items()
        if value is not None
    ]
    if facts.dropped_betas:
        headers.append((b"x-tollgate-dropped-betas", _names(facts.dropped_betas)))
    if facts.dropped:
        headers.append((b"x-tollgate-dropped", _names(facts.dropped)))
    headers += facts.rates
    return headers


def _names(texts: tuple[str, ...]) -> bytes:
    """Plain words by name, the first few of them; how many others there are."""
    words = [text for text in texts if _WORD.fullmatch(text)][:_NAMES_MAX]
    others = len(texts) - len(words)
    return ",".join([*words, f"other={others}"] if others else words).encode("ascii")


def comment(facts: Facts) -> dict[str, str]:
    """The same facts for the comment line that closes a stream."""
    known = {name: value for name, value in _texts(facts).items() if value is not None}
    return {"trace_id": facts.trace_id, **known}


def _texts(facts: Facts) -> dict[str, str | None]:
    cost, left = facts.cost_nano_usd, facts.remaining_nano_usd
    return {
        "cost_usd": None if cost is None else usd(cost),
        "usage_input_tokens": _text(facts.input_tokens),
        "usage_output_tokens": _text(facts.output_tokens),
        "budget_remaining_usd": None if left is None else usd(left),
        "route": facts.route,
        "receipt": _text(facts.receipt),
    }


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


_NAMES = {
    "cost_usd": b"x-tollgate-cost-usd",
    "usage_input_tokens": b"x-tollgate-usage-input-tokens",
    "usage_output_tokens": b"x-tollgate-usage-output-tokens",
    "budget_remaining_usd": b"x-tollgate-budget-remaining-usd",
    "route": b"x-tollgate-route",
    "receipt": b"x-tollgate-receipt",
}
