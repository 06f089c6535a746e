"""What budget does on its own: marks what timed out, and checks the sums against the history.

Promises: a reservation whose time is over is quarantined within seconds; it stays counted. A
violation is counted, logged as an error, and never repaired.
"""

import asyncio

from tollgate_budget.group_commit import GroupCommit
from tollgate_budget.ledger.ledger import Quarantine, Quarantined
from tollgate_budget.ledger.store import LedgerStore, StoreUnavailable
from tollgate_budget.measures import Measures
from tollgate_kit.clock import Clock
from tollgate_kit.logs import Log
from tollgate_kit.rpc.failure import Failure

SWEEP_BATCH_MAX = 128
# In one turn; the rest waits for the next, so that calls are not kept waiting.
SWEEP_BATCHES_MAX = 32
# The check is at work at most one part in this many of the time.
CHECK_SHARE = 50


class Keeper:
    """Quarantines what timed out and checks the sums, each in a loop.

    Both loops go on when the store does not answer, and try again at the next turn.
    """

    def __init__(
        self,
        store: LedgerStore,
        group: GroupCommit,
        *,
        clock: Clock,
        measures: Measures,
        log: Log,
    ) -> None:
        self._store = store
        self._group = group
        self._clock = clock
        self._measures = measures
        self._log = log

    async def sweep_forever(self, every_s: float) -> None:
        while True:
            try:
                for _ in range(SWEEP_BATCHES_MAX):
                    if await self.sweep() < SWEEP_BATCH_MAX:
                        break
            except (StoreUnavailable, Failure) as error:
                self._log.warning("sweep.failed", error=type(error).__name__)
            await asyncio.sleep(every_s)

    async def check_forever(self, every_s: float) -> None:
        """The check reads the month's history: the longer it takes, the longer until the next."""
        while True:
            started = self._clock.monotonic()
            try:
                await self.check()
            except StoreUnavailable:
                self._log.warning("check.failed")
            took = self._clock.monotonic() - started
            await asyncio.sleep(max(every_s, took * CHECK_SHARE))

    async def sweep(self) -> int:
        """Quarantine what is overdue, a bounded number at a time; how many were found."""
        overdue = await self._store.overdue(now_ms=self._clock.unix_ms(), limit=SWEEP_BATCH_MAX)
        outcomes = await self._group.apply([Quarantine(found) for found in overdue])
        marked = sum(isinstance(o, Quarantined) and o.changed for o in outcomes)
        if marked:
            self._measures.quarantined.inc(marked)
            self._log.warning("reservations.quarantined", count=marked)
        return len(overdue)

    async def check(self) -> int:
        """Compare sums with limits and with transfers; how many account months disagree."""
        started = self._clock.monotonic()
        violations = await self._store.violations()
        self._measures.check_seconds.observe(self._clock.monotonic() - started)
        if violations:
            self._measures.invariant_violations.inc(violations)
            self._log.error("invariant.violated", account_months=violations)
        return violations
