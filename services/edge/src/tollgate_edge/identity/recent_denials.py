"""Refusals that any call of the same key would get again for a moment.

Promises: a call is only refused from here for a reason that does not depend on the call, for as
long as the refusal said that it stands, and while the grant is the one it was refused under. A
small body is not refused from here before the key was denied many times in a row, so that a raised
cap works at once. Bounded memory; never reads a clock.
"""

import dataclasses
from collections import OrderedDict

from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.identity.identity import KeyGrant

KEYS_MAX = 10_000
# Denials in a row, none later than a second after the last, from which on a key is a flood.
FLOOD = 20
_ROW_SECONDS = 1.0


@dataclasses.dataclass(slots=True)
class _Entry:
    grant: KeyGrant
    refusal: Refusal
    until: float
    count: int


class RecentDenials:
    """The last standing refusal of each key."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def remember(self, grant: KeyGrant, refusal: Refusal, now: float) -> None:
        """Budget refused a call; kept if the refusal stands for others."""
        before = self._entries.pop(grant.key_id, None)
        if not refusal.stands_ms:
            return
        in_a_row = before is not None and now <= before.until + _ROW_SECONDS
        count = before.count + 1 if before is not None and in_a_row else 1
        until = now + refusal.stands_ms / 1000
        self._entries[grant.key_id] = _Entry(grant, _of_no_call(refusal), until, count)
        if len(self._entries) > KEYS_MAX:
            self._entries.popitem(last=False)

    def forget(self, key_id: str) -> None:
        """Budget granted a call."""
        self._entries.pop(key_id, None)

    def find(self, grant: KeyGrant, now: float, *, small: bool) -> Refusal | None:
        """What a call of this key would be told, if that is known without reading its body."""
        entry = self._entries.get(grant.key_id)
        if entry is None or now >= entry.until or entry.grant != grant:
            return None
        if small and entry.count < FLOOD:
            return None
        refusal = entry.refusal
        left_ms = round((entry.until - now) * 1000) + 1
        if refusal.retry_after_ms is not None:
            refusal = dataclasses.replace(refusal, retry_after_ms=left_ms)
        if refusal.rates is not None:
            passed_ms = max(0, refusal.stands_ms - left_ms)
            refusal = dataclasses.replace(refusal, rates=refusal.rates.later(passed_ms))
        return refusal


def _of_no_call(refusal: Refusal) -> Refusal:
    """Without what was worked out from the body of the call that was refused."""
    if refusal.shortfall is None:
        return refusal
    shortfall = dataclasses.replace(refusal.shortfall, required_nano_usd=None)
    return dataclasses.replace(refusal, shortfall=shortfall)
