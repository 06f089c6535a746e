"""The failures of the canary test: each says the presented key and a canary somewhere.

Owns the list. The name is the upstream model's name, on each protocol; how a failure is acted out
is `misbehave`'s.
"""

from dataclasses import dataclass
from typing import Final

# Looks like a key, is one nowhere.
CANARY: Final = "sk-canary-7Q2mVx9LtR4bKd8WfZ3nHc5Y"


@dataclass(frozen=True)
class Failure:
    """One way to fail; `stream` says how it must be called."""

    name: str
    place: str
    status: int
    stream: bool


# (place, status, is a stream)
_KINDS: Final = (
    *(("body", status, False) for status in
      (400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529)),
    *(("header", status, False) for status in (400, 401, 403, 429, 500, 503)),
    *(("reason", status, False) for status in (400, 401, 403, 429, 500, 503)),
    *(("html", status, False) for status in (400, 403, 404, 500, 502)),
    ("redirect", 302, False),
    ("redirect", 307, False),
    ("ok-error", 200, False),
    ("bad-status-line", 0, False),
    ("bad-header-line", 200, False),
    ("short-body", 200, False),
    ("short-body", 500, False),
    ("body", 500, True),
    ("body", 429, True),
    ("mid-error", 200, True),
    ("mid-garbage", 200, True),
    ("mid-reset", 200, True),
    ("mid-bad-chunk", 200, True),
)  # fmt: skip

FAILURES: Final = tuple(
    Failure(f"demo-fail-{number:02}", place, status, stream)
    for number, (place, status, stream) in enumerate(_KINDS, start=1)
)

BY_NAME: Final = {failure.name: failure for failure in FAILURES}
