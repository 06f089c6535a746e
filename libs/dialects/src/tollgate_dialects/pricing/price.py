"""One immutable version of a model's price, in whole pico-USD per token.

Owns the shape and its sanity. Promises that a Price can be bounded: every amount is zero or more,
both token limits are positive, and a long-context tier is either whole or absent.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The fields of `tollgate.router.v1.Price`; no class falls back to another's price."""

    model: str
    version: int
    input_pico_usd: int
    output_pico_usd: int
    cache_read_pico_usd: int
    cache_write_5m_pico_usd: int
    cache_write_1h_pico_usd: int
    max_input_tokens: int
    max_output_tokens: int
    source: str
    # Above this many input tokens the long_* prices apply to the whole call; 0: no such tier.
    long_context_tokens: int = 0
    long_input_pico_usd: int = 0
    long_output_pico_usd: int = 0
    long_cache_read_pico_usd: int = 0
    long_cache_write_5m_pico_usd: int = 0
    long_cache_write_1h_pico_usd: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{field.name} must not be negative")
        if not self.max_input_tokens or not self.max_output_tokens:
            raise ValueError("max_input_tokens and max_output_tokens must be positive")
        if not self.long_context_tokens and any(self.tier(long=True)):
            raise ValueError("long_* prices need long_context_tokens")

    def tier(self, *, long: bool) -> tuple[int, int, int, int, int]:
        """(input, output, cache read, cache write 5 m, cache write 1 h) of one tier."""
        if long:
            return (
                self.long_input_pico_usd,
                self.long_output_pico_usd,
                self.long_cache_read_pico_usd,
                self.long_cache_write_5m_pico_usd,
                self.long_cache_write_1h_pico_usd,
            )
        return (
            self.input_pico_usd,
            self.output_pico_usd,
            self.cache_read_pico_usd,
            self.cache_write_5m_pico_usd,
            self.cache_write_1h_pico_usd,
        )

    def has_long_tier_at(self, input_tokens: int) -> bool:
        """Whether a call that reads this much is priced by the long-context tier."""
        return 0 < self.long_context_tokens < input_tokens
