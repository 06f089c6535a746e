"""How soon a request that is no call is answered: at once, unless its sender sends too many.

Owns the pace of refusals, and of what costs nobody money: health, lists, wrong paths. Promises:
who stays within the burst never waits; who asks without end is answered at a steady pace, so that
many connections that call again as soon as they are answered cost the others little; a wait has a
bound, and memory, too. Never reads a clock. The rule is GCRA, as for rates (ADR 0021).
"""

from collections import OrderedDict

BURST = 100
PER_SECOND = 200
WAIT_SECONDS_MAX = 5.0
HOLDERS_MAX = 10_000


class Pace:
    """For each holder, a key or a client address, when its next answer is due."""

    def __init__(self) -> None:
        self._due: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def wait(self, holder: str, now: float) -> float:
        """So many seconds its next answer should wait; asking takes the place."""
        due = max(self._due.pop(holder, now), now)
        seconds = min(max(0.0, due - now - BURST / PER_SECOND), WAIT_SECONDS_MAX)
        latest = now + BURST / PER_SECOND + WAIT_SECONDS_MAX
        self._due[holder] = min(due + 1 / PER_SECOND, latest)
        if len(self._due) > HOLDERS_MAX:
            self._due.popitem(last=False)
        return seconds
