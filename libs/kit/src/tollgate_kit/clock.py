"""Time, injected. Two clocks that must not be mixed: wall time for records, monotonic for waits."""

import time
from typing import Protocol


class Clock(Protocol):
    """What a component is given instead of the time module."""

    def unix_ms(self) -> int:
        """Wall time in milliseconds since 1970-01-01 UTC. For records, never for durations."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back. For durations, never for records."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is advanced: for tests and the simulator."""

    def __init__(self, *, unix_ms: int = 1_700_000_000_000, monotonic: float = 1000.0) -> None:
        self._unix_ms = unix_ms
        self._monotonic = monotonic

    def unix_ms(self) -> int:
        return self._unix_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._monotonic += seconds
        self._unix_ms += round(seconds * 1000)
