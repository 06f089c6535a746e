"""How Vault itself is: said in the log once for each change, however many requests met it."""

import enum

from tollgate_kit.clock import Clock
from tollgate_kit.keyring.vault.measures import VaultMeasures
from tollgate_kit.logs import Log

# Under load some requests may be answered and others not: lines keep this far apart.
SAY_SECONDS = 1.0
SKEW_SECONDS_MAX = 60.0


class Condition(enum.Enum):
    """What the last request met."""

    UP = "up"
    SLOW = "slow"
    SEALED = "sealed"
    STANDBY = "standby"
    # A quota of the operator's.
    BUSY = "busy"
    FAILING = "failing"
    UNREACHABLE = "unreachable"


_EVENTS = {
    Condition.UP: "vault.back",
    Condition.SLOW: "vault.slow",
    Condition.SEALED: "vault.sealed",
    Condition.STANDBY: "vault.standby",
    Condition.BUSY: "vault.busy",
    Condition.FAILING: "vault.failing",
    Condition.UNREACHABLE: "vault.unreachable",
}


class ServerState:
    """Is told of each request; says what changed."""

    def __init__(self, *, clock: Clock, measures: VaultMeasures, log: Log) -> None:
        self._clock = clock
        self._measures = measures
        self._log = log
        self._said = Condition.UP
        self._said_at = clock.monotonic() - SAY_SECONDS
        self._clock_is_off = False
        self.condition = Condition.UP
        self._measures.up.set(1)

    def saw(self, condition: Condition) -> None:
        """A request met this."""
        if condition is not self.condition:
            self.condition = condition
            self._measures.up.set(int(condition is Condition.UP))
            self._measures.sealed.set(int(condition is Condition.SEALED))
        self.say()

    def say(self) -> None:
        """Say what changed, unless something was said just now: then the next call does."""
        now = self._clock.monotonic()
        if self.condition is self._said or now - self._said_at < SAY_SECONDS:
            return
        self._said, self._said_at = self.condition, now
        tell = self._log.info if self.condition is Condition.UP else self._log.warning
        tell(_EVENTS[self.condition])

    def saw_clock(self, vault_unix_s: float) -> None:
        """Vault's wall clock, now. Nothing here goes by ours, but records and certificates do."""
        skew = vault_unix_s - self._clock.unix_ms() / 1000
        self._measures.clock_skew.set(skew)
        is_off = abs(skew) > SKEW_SECONDS_MAX
        if is_off and not self._clock_is_off:
            self._log.warning("vault.clock_off", vault_ahead_s=round(skew))
        elif self._clock_is_off and not is_off:
            self._log.info("vault.clock_right")
        self._clock_is_off = is_off
