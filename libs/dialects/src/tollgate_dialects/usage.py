"""What a call used, in classes that share no token.

Owns the one usage type that client, ledger and evidence are shown. Promises that a token is counted
in exactly one of the first five fields; `reasoning_tokens` only observes a part of the output.
"""

from dataclasses import dataclass


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
