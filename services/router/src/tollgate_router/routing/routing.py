"""Which key of which provider a call tries next, and whether it may try again.

Owns what each attempt's result means for the next one, the cooldown of keys, and the retry budget.
Promises: nothing is tried again after the first byte, a key is left alone for as long as its
upstream asked with retry-after, the full rate of another way of serving (flex, priority, fast) is
none of the ordinary one's, and retries are a bounded share of calls.
Integers and the caller's clock only.
"""

import enum
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

ATTEMPTS_MAX = 3


class Result(enum.Enum):
    """What an attempt came to, as far as its transport goes."""

    OK = "ok"
    # Nothing was sent: DNS, TCP, TLS, or no free connection.
    CONNECT_FAILED = "connect_failed"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    BAD_KEY = "bad_key"
    # An access token: its key is asked once more, with another.
    STALE = "token_refused"
    # The account behind the key is empty: the operator's matter, as a bad key is.
    OUT_OF_FUNDS = "out_of_funds"
    # Any other answer that is not 2xx: the request is at fault, another key would not help.
    REFUSED = "refused"
    # The same, for what another account alone can read: what it has sealed, or what it keeps.
    OTHER_ACCOUNT = "other_account"
    # The upstream took the request and then broke off, was silent too long, or spoke nonsense.
    # It may have done (and billed) the work, so it is not asked again.
    BROKEN = "broken"
    TIMEOUT = "timeout"

    # Members are singletons: their identity is a hash, and Enum's own runs in Python.
    __hash__ = object.__hash__


# The whole key is of no use until its operator does something.
OPERATORS_FAULT = frozenset({Result.BAD_KEY, Result.OUT_OF_FUNDS})
_UNANSWERED = OPERATORS_FAULT | {Result.CONNECT_FAILED, Result.SERVER_ERROR, Result.RATE_LIMITED}
_RETRYABLE = _UNANSWERED | {Result.STALE}
_FAULT_OF_KEY = _UNANSWERED | {Result.BROKEN, Result.TIMEOUT}


def may_retry(result: Result) -> bool:
    """Whether another key may be asked after this, given that no byte has gone out."""
    return result in _RETRYABLE


class Keyed(Protocol):
    """What KeyHealth needs to know of a candidate."""

    @property
    def key_id(self) -> str: ...

    @property
    def upstream_model(self) -> str: ...


C = TypeVar("C", bound=Keyed)
# The key, of its models the one, and the way of serving it.
_Name: TypeAlias = tuple[str, str, Hashable]
_ANY_MODEL = ""
_ORDINARY = ()


@dataclass(frozen=True, slots=True)
class CooldownRules:
    """How long a key is left alone, milliseconds."""

    first_ms: int = 1_000
    longest_ms: int = 60_000
    bad_key_ms: int = 300_000
    # A retry-after beyond this is cut to it.
    retry_after_max_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class _Mark:
    failed_ms: int
    failures: int
    until_ms: int
    # The upstream itself asked to be left alone until then: it is not asked at all.
    hard: bool


class Order(NamedTuple, Generic[C]):
    """Candidates in the order to try them."""

    candidates: tuple[C, ...]
    # The shortest wait for an upstream that asked to be left alone, and so is none of them.
    wait_ms: int = 0


class KeyHealth:
    """Failures of each key, per upstream model; a bad key is bad for all of its models.

    `way`, everywhere: of serving, beside the ordinary one. Its rate alone is its own.
    """

    def __init__(self, rules: CooldownRules) -> None:
        self._rules = rules
        self._marks: dict[_Name, _Mark] = {}

    def record(
        self,
        candidate: Keyed,
        result: Result,
        *,
        now_ms: int,
        retry_after_ms: int | None = None,
        way: Hashable = _ORDINARY,
    ) -> None:
        """Feed one attempt's result."""
        if result is Result.OK:
            if self._marks:
                for name in _names(candidate, way):
                    self._marks.pop(name, None)
            return
        if result not in _FAULT_OF_KEY:
            return
        model = _ANY_MODEL if result in OPERATORS_FAULT else candidate.upstream_model
        name = (candidate.key_id, model, way if result is Result.RATE_LIMITED else _ORDINARY)
        old = self._live(name, now_ms)
        failures = 1 + (old.failures if old else 0)
        hard = result in (Result.RATE_LIMITED, Result.SERVER_ERROR) and retry_after_ms is not None
        if hard and retry_after_ms is not None:
            rest_ms = min(retry_after_ms, self._rules.retry_after_max_ms)
        elif result in OPERATORS_FAULT:
            rest_ms = self._rules.bad_key_ms
        else:
            doublings = min(failures - 1, 16)
            rest_ms = min(self._rules.first_ms << doublings, self._rules.longest_ms)
        self._marks[name] = _Mark(now_ms, failures, now_ms + rest_ms, hard)

    def order(self, candidates: Sequence[C], *, now_ms: int, way: Hashable = _ORDINARY) -> Order[C]:
        """Least recently failed first, in catalogue order among equals; resting keys last."""
        if not self._marks:
            return Order(tuple(candidates))
        ready: list[tuple[bool, int, int, C]] = []
        waits: list[int] = []
        for place, candidate in enumerate(candidates):
            marks = [mark for name in _names(candidate, way) if (mark := self._live(name, now_ms))]
            asked = [m.until_ms - now_ms for m in marks if m.hard and m.until_ms > now_ms]
            if asked:
                waits.append(max(asked))
                continue
            resting = any(mark.until_ms > now_ms for mark in marks)
            failed_ms = max((mark.failed_ms for mark in marks), default=-1)
            ready.append((resting, failed_ms, place, candidate))
        ready.sort(key=lambda item: item[:3])
        tried = tuple(item[3] for item in ready)
        return Order(tried, min(waits, default=0))

    def is_refused(self, candidate: Keyed, *, now_ms: int) -> bool:
        """Whether the whole key rests until its operator has done something."""
        mark = self._live((candidate.key_id, _ANY_MODEL, _ORDINARY), now_ms)
        return mark is not None and mark.until_ms > now_ms

    def keep_only(self, key_ids: frozenset[str]) -> None:
        """Forget keys that are no longer in the catalogue, so that marks stay bounded by it."""
        self._marks = {k: mark for k, mark in self._marks.items() if k[0] in key_ids}

    def _live(self, name: _Name, now_ms: int) -> _Mark | None:
        """The mark, unless it is so old that the catalogue's own order counts again."""
        mark = self._marks.get(name)
        if mark is None or now_ms - mark.until_ms <= self._rules.longest_ms:
            return mark
        del self._marks[name]
        return None


def _names(candidate: Keyed, way: Hashable) -> tuple[_Name, ...]:
    """Of the marks that count for a call."""
    key_id, model = candidate.key_id, candidate.upstream_model
    named = ((key_id, _ANY_MODEL, _ORDINARY), (key_id, model, _ORDINARY))
    return named if way == _ORDINARY else (*named, (key_id, model, way))


class RetryBudget:
    """Retries as a share of calls, so that a failing upstream is not asked twice as often."""

    def __init__(self, *, calls_per_retry: int = 10, burst: int = 20) -> None:
        self._price = calls_per_retry
        self._most = calls_per_retry * burst
        self._credit = self._most

    def call(self) -> None:
        """A call began."""
        if self._credit < self._most:
            self._credit += 1

    def take(self) -> bool:
        """Take one retry; False when the share is used up."""
        if self._credit < self._price:
            return False
        self._credit -= self._price
        return True
