"""What a call used, in classes that share no token.

Owns the one usage type that client, ledger and evidence are shown. Promises that a token is counted
in exactly one of the first five fields; `reasoning_tokens` only observes a part of the output.
"""

import enum
from dataclasses import dataclass


class UsageSource(enum.Enum):
    """Where a charged usage comes from."""

    UPSTREAM = "upstream"
    # The upstream reported a part; the rest is counted from what it produced.
    PARTIAL = "partial"
    # Counted from what was sent and produced.
    ESTIMATED = "estimated"
    # Nothing was produced; nothing is charged.
    NONE = "none"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts; zero where nothing was reported."""

    # Input neither read from nor written to a cache.
    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cache_read_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_input_tokens(self) -> int:
        """Everything that was read, however it is priced: what a long-context tier looks at."""
        return (
            self.input_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.cache_read_tokens
        )


NOTHING = Usage()
