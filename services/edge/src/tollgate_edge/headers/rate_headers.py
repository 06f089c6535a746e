"""What is left of a key's rates, as headers of an answer, in the words of each client's protocol.

Promises: each value is built from integers; there is none for a limit that the key does not have.
Gemini and DashScope have no such headers, so their clients are told nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from tollgate_edge.errors.rates_left import RateLeft, RatesLeft
from tollgate_edge.headers.answer_headers import Headers


def _names(form: str) -> tuple[tuple[bytes, ...], ...]:
    """Of requests and of tokens, as in RatesLeft."""
    whats = ("limit", "remaining", "reset")
    return tuple(
        tuple(form.format(what=what, of=of).encode("ascii") for what in whats)
        for of in RatesLeft._fields
    )


_OPENAI_NAMES: Final = _names("x-ratelimit-{what}-{of}")
_ANTHROPIC_NAMES: Final = _names("anthropic-ratelimit-{of}-{what}")
NAMES: Final = tuple(name for names in _OPENAI_NAMES + _ANTHROPIC_NAMES for name in names)


def openai(rates: RatesLeft, _unix_ms: int) -> Headers:
    """How long it takes until a limit is full again (OpenAI, "Rate limits", as Go writes times)."""
    return _headers(_OPENAI_NAMES, rates, lambda left: duration(left.full_after_ms))


def anthropic(rates: RatesLeft, unix_ms: int) -> Headers:
    """When it is (Anthropic, "Rate limits"): RFC 3339, rounded up to a second."""
    return _headers(_ANTHROPIC_NAMES, rates, lambda left: instant(unix_ms + left.full_after_ms))


def none(_rates: RatesLeft, _unix_ms: int) -> Headers:
    """Where the protocol has none."""
    return []


def duration(ms: int) -> str:
    """As in `0s`, `120ms`, `1s`, `6m0s`, `20m52.666s`, `1h0m0s`."""
    if 0 < ms < 1000:  # noqa: PLR2004 - of a second
        return f"{ms}ms"
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{seconds}.{ms:03}".rstrip("0") if ms else str(seconds)
    if not (hours or minutes):
        return f"{text}s"
    return f"{hours}h{minutes}m{text}s" if hours else f"{minutes}m{text}s"


def instant(unix_ms: int) -> str:
    """As in `2026-08-19T14:34:19Z`."""
    return _second(-(-unix_ms // 1000))


@lru_cache(maxsize=256)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()[: -len("+00:00")] + "Z"


def _headers(
    names: tuple[tuple[bytes, ...], ...], rates: RatesLeft, reset: Callable[[RateLeft], str]
) -> Headers:
    headers: Headers = []
    for (limit, remaining, full), left in zip(names, rates, strict=True):
        if left is not None:
            headers += (
                (limit, b"%d" % left.limit),
                (remaining, b"%d" % left.remaining),
                (full, reset(left).encode("ascii")),
            )
    return headers
