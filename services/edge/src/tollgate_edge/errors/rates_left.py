"""What the limits of a key's rates have left: figures alone, no name of a bucket."""

from typing import NamedTuple, Self


class RateLeft(NamedTuple):
    """One limit, after a call's reservation, or as it was found when it refused the call."""

    # What may be spent at once when nothing was before.
    limit: int
    remaining: int
    # It is all there again after this, if nothing is spent.
    full_after_ms: int

    def later(self, passed_ms: int) -> Self:
        """The same, told so much later; what came back meanwhile is not counted."""
        return self._replace(full_after_ms=max(0, self.full_after_ms - passed_ms))

    def or_stricter(self, other: Self | None) -> Self:
        """That one of two which leaves less, or of two alike is the last to be full again."""
        if other is None:
            return self
        if self.remaining != other.remaining:
            return self if self.remaining < other.remaining else other
        return self if self.full_after_ms >= other.full_after_ms else other


class RatesLeft(NamedTuple):
    """The strictest limit of each kind; None where a key has none."""

    requests: RateLeft | None = None
    tokens: RateLeft | None = None

    def later(self, passed_ms: int) -> Self:
        """The same, told so much later."""
        return self._replace(
            requests=self.requests and self.requests.later(passed_ms),
            tokens=self.tokens and self.tokens.later(passed_ms),
        )
