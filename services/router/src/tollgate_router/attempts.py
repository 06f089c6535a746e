"""Getting one call answered: try the candidates in order until one takes it.

Owns failover, which happens only here and so only before a byte of an answer went out. Promises:
no upstream is contacted before the reservation's one contact was claimed, at most ATTEMPTS_MAX are,
and what is said of a failure is what tollgate_dialects has scrubbed.
"""

import asyncio
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import NamedTuple, TypeAlias

from tollgate_dialects.answer import upstream_error
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.conversation.translation import Untranslatable
from tollgate_dialects.dialect import Asked, UpstreamDialect
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_dialects.request.variants import Variant
from tollgate_kit.clock import Clock
from tollgate_kit.keyring.base import KeyringAway, KeyringFault
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_router import translation
from tollgate_router.call import UpstreamCall
from tollgate_router.charge import EndReason
from tollgate_router.providers import endpoint
from tollgate_router.providers.access_token import TokenFault
from tollgate_router.providers.catalogue import Candidate, Snapshot
from tollgate_router.providers.key_secrets import KeySecrets
from tollgate_router.providers.provider_keys import OpenKey, ProviderKeys
from tollgate_router.providers.request_head import RequestHead
from tollgate_router.reservation import UsedReservations
from tollgate_router.routing import refusal, routing
from tollgate_router.translation import UpstreamBody
from tollgate_router.upstream.answer import Answer
from tollgate_router.upstream.fault import Fault, UpstreamFault
from tollgate_router.upstream.upstream import ERROR_BODY_MAX, Upstream

# An error's body is worth this much waiting, no more: the call has failed already.
ERROR_BODY_SECONDS = 1.0
_Way: TypeAlias = tuple[Variant, ...]
_NOBODY = frozenset[str]()
_MENDED = routing.OPERATORS_FAULT | {routing.Result.STALE}
_RESULT_OF_FAULT = {
    Fault.CONNECT: routing.Result.CONNECT_FAILED,
    Fault.TIMEOUT: routing.Result.TIMEOUT,
}


class Opened(NamedTuple):
    """An upstream took the call."""

    answer: Answer
    candidate: Candidate
    # The upstream's.
    dialect: UpstreamDialect
    # What must not be in the answer, nor in anything that is said of it.
    secrets: KeySecrets


@dataclass(frozen=True, slots=True)
class NotOpened:
    """No upstream took the call, and what may be said of it."""

    reason: EndReason
    http_status: int = 0
    message: str = ""
    code: str = ""
    param: str = ""
    retry_after_ms: int | None = None
    # An upstream was asked, and what it did and will bill is not known.
    is_unknown: bool = False


def broken_answer(reason: EndReason, error: upstream_error.UpstreamFault | None) -> NotOpened:
    """What may be said of an answer that began well and then failed."""
    if error is None:
        return NotOpened(reason)
    return NotOpened(reason, error.http_status, error.message, error.code, error.param)


@dataclass(frozen=True, slots=True)
class ContactRefused:
    """The reservation's one contact was claimed by somebody else in the meantime."""


class _Attempt(NamedTuple):
    """Who is asked, with what, and what for."""

    candidate: Candidate
    key: OpenKey
    upstream: UpstreamDialect
    # Of serving, where it has a rate of its own; None: no call, and no news of what calls get.
    way: _Way | None = ()
    # A token of this key was refused in this call already.
    is_renewed: bool = False


@dataclass(slots=True)
class _Failed:
    """What is told if nobody answers: what may pass, not what only the operator can mend."""

    # Somebody else asked to be left alone.
    resting: NotOpened | None
    outcome: NotOpened | None = None
    result: routing.Result | None = None

    def add(self, outcome: NotOpened, result: routing.Result) -> None:
        """An attempt after which another may be made."""
        if self.outcome is None or self.result in _MENDED or result not in _MENDED:
            self.outcome, self.result = outcome, result

    def rather_than(self, result: routing.Result) -> NotOpened | None:
        """What is told in this result's stead: who can read the conversation may be back soon."""
        if result is not routing.Result.OTHER_ACCOUNT:
            return None
        may_pass = self.result is not None and self.result not in _MENDED
        return self.outcome if may_pass else self.resting


class Attempts:
    """Opens calls at upstreams."""

    def __init__(
        self,
        *,
        upstream: Upstream,
        keys: ProviderKeys,
        reservations: UsedReservations,
        rules: routing.CooldownRules,
        clock: Clock,
        log: Log,
        metrics: Metrics,
    ) -> None:
        self._upstream = upstream
        self._keys = keys
        self._reservations = reservations
        self._clock = clock
        self._log = log
        self.health = routing.KeyHealth(rules)
        self._retries = routing.RetryBudget()
        self._attempts = metrics.counter(
            "attempts_total", "Attempts at upstreams, by transport result.", ("provider", "result")
        )
        # Worth an alert: nobody but the operator can fill the account.
        self._out_of_funds = metrics.counter(
            "provider_keys_out_of_funds_total",
            "Attempts refused because the account behind the key is empty.",
            ("provider",),
        )

    async def open(
        self, call: UpstreamCall, catalogue: Snapshot
    ) -> Opened | NotOpened | ContactRefused:
        """Try candidates until one answers 2xx, refuses the request itself, or none is left."""
        self._retries.call()
        served = catalogue.candidates(
            call.dialect.provider, call.model, translated=call.may_be_translated
        )
        if call.account is not None:
            served = tuple(c for c in served if (c.provider, c.key_id) == call.account)
        way = _way(call.asked.variants)
        order = self.health.order(served, now_ms=self._now_ms(), way=way)
        resting = _resting(order.wait_ms)
        if resting and not order.candidates:
            return resting
        failed = _Failed(resting)
        candidates, renewed = list(order.candidates), _NOBODY
        while candidates:
            candidate = candidates.pop(0)
            key = self._keys.at_hand(candidate) or await self._open_key(candidate)
            if key is None:
                continue
            is_own = candidate.protocol is call.dialect.provider
            upstream = call.dialect if is_own else UPSTREAM_DIALECTS[candidate.protocol]
            try:
                body = translation.upstream_body(call, candidate, upstream)
            except (Untranslatable, BadRequest) as cannot:
                failed.outcome = failed.outcome or _not_said(cannot)
                continue
            if call.attempts == 0:
                if not self._reservations.contact(call.reservation_id):
                    return ContactRefused()
            elif call.attempts == routing.ATTEMPTS_MAX or not self._retries.take():
                break
            call.attempts += 1
            call.candidate = candidate
            call.dropped = body.dropped
            head = _head(call, candidate, key, upstream, body)
            # Of another protocol's upstream none is asked for.
            told = _way(translation.asked_of(call, upstream).variants) if way else ()
            attempt = _Attempt(candidate, key, upstream, told, candidate.key_id in renewed)
            outcome, result = await self._try(attempt, head, body.data)
            if isinstance(outcome, Opened):
                return outcome
            outcome = _in_words_of(call, upstream, outcome)
            if not routing.may_retry(result):
                return failed.rather_than(result) or outcome
            if result is routing.Result.STALE:
                renewed |= {candidate.key_id}
                candidates.insert(0, candidate)
            failed.add(outcome, result)
        return failed.outcome or NotOpened(EndReason.NO_ROUTE)

    async def ask(self, candidate: Candidate, method: str, below: str) -> Opened | NotOpened:
        """A request without a body, below where its calls go: at this upstream alone, once.

        It costs nothing, tells nothing of what calls get, and no key is asked that must rest.
        """
        now_ms = self._now_ms()
        resting = _resting(self.health.order((candidate,), now_ms=now_ms).wait_ms)
        if resting or self.health.is_refused(candidate, now_ms=now_ms):
            return resting or NotOpened(EndReason.UPSTREAM_ERROR)
        key = self._keys.at_hand(candidate) or await self._open_key(candidate, way=None)
        if key is None:
            return NotOpened(EndReason.NO_ROUTE)
        attempt = _Attempt(candidate, key, UPSTREAM_DIALECTS[candidate.protocol], way=None)
        head = key.head.at(key.head.target + below, method)
        return (await self._try(attempt, head, b""))[0]

    def broke(self, candidate: Candidate, error: upstream_error.UpstreamFault | None) -> None:
        """An answer that began well turned out bad: the key rests for a while.

        Some vendors tell of an empty account or a dead key in a 200.
        """
        result = routing.Result.BROKEN
        if error is not None and error.http_status:
            told = refusal.result_of(error.http_status)
            if told in routing.OPERATORS_FAULT:
                result = told
                self._alarm(candidate, told, error.http_status)
        self.health.record(candidate, result, now_ms=self._now_ms())

    def _record(
        self,
        candidate: Candidate,
        result: routing.Result,
        wait_ms: int | None = None,
        way: _Way | None = (),
    ) -> None:
        """Feed what became of an attempt to the key's health and the metrics."""
        now_ms = self._now_ms()
        if way is not None:
            self.health.record(candidate, result, now_ms=now_ms, retry_after_ms=wait_ms, way=way)
        self._attempts.labels(candidate.provider, result._value_).inc()

    async def _open_key(self, candidate: Candidate, way: _Way | None = ()) -> OpenKey | None:
        try:
            return await self._keys.open(candidate)
        except KeyringFault as fault:
            # Moved address, other tenant's row, or the keyring is away: this key is no use now.
            self._log.warning(
                "provider_key.not_opened", key_id=candidate.key_id, fault=type(fault).__name__
            )
            is_away = isinstance(fault, KeyringAway)
            result = routing.Result.CONNECT_FAILED if is_away else routing.Result.BAD_KEY
            self._record(candidate, result, way=way)
            return None
        except TokenFault as fault:
            self._log.warning("provider_key.no_token", key_id=candidate.key_id, fault=fault.why)
            is_refused = fault.why == "refused"
            result = routing.Result.BAD_KEY if is_refused else routing.Result.CONNECT_FAILED
            self._record(candidate, result, way=way)
            return None

    async def _try(
        self, attempt: _Attempt, head: RequestHead, body: bytes
    ) -> tuple[Opened | NotOpened, routing.Result]:
        candidate, key, upstream, way, _ = attempt
        try:
            answer = await self._upstream.send(key.signed(head, body, self._clock), body)
        except UpstreamFault as fault:
            result = _RESULT_OF_FAULT.get(fault.fault, routing.Result.BROKEN)
            self._record(candidate, result, way=way)
            timed_out = fault.fault is Fault.TIMEOUT
            reason = EndReason.UPSTREAM_TIMEOUT if timed_out else EndReason.UPSTREAM_ERROR
            return NotOpened(reason, is_unknown=fault.fault is not Fault.CONNECT), result
        if refusal.result_of(answer.status) is routing.Result.OK:
            self._record(candidate, routing.Result.OK, way=way)
            return Opened(answer, candidate, upstream, key.secrets), routing.Result.OK
        return await self._refused(answer, attempt)

    async def _refused(self, answer: Answer, attempt: _Attempt) -> tuple[NotOpened, routing.Result]:
        candidate, key, upstream, way, is_renewed = attempt
        start = b""
        try:
            async with asyncio.timeout(ERROR_BODY_SECONDS):
                start = await answer.read_start(ERROR_BODY_MAX)
        except TimeoutError:
            pass
        finally:
            answer.close()
        is_rate, now_ms = answer.status == HTTPStatus.TOO_MANY_REQUESTS, self._clock.unix_ms()
        wait_ms = upstream_error.retry_after_ms(
            answer.headers, start, now_unix_ms=now_ms, is_rate=is_rate
        )
        result, status = refusal.judge(answer.status, start, answer.headers)
        is_token = answer.status == HTTPStatus.UNAUTHORIZED and self._keys.forget(candidate, key)
        if is_token and not is_renewed:
            result = routing.Result.STALE
        self._record(candidate, result, wait_ms, way)
        if result in routing.OPERATORS_FAULT:
            self._alarm(candidate, result, answer.status)
        message, code, param = upstream_error.describe(
            status, start, answer.headers, upstream.answer.error_codes, key.secrets.revealed()
        )
        told = (status, message, code, param, wait_ms)
        return NotOpened(EndReason.UPSTREAM_ERROR, *told), result

    def _alarm(self, candidate: Candidate, result: routing.Result, status: int) -> None:
        """Tell the operator, for nobody else can help."""
        if result is routing.Result.OUT_OF_FUNDS:
            self._out_of_funds.labels(candidate.provider).inc()
            event = "provider_key.out_of_funds"
        else:
            event = "provider_key.refused"
        self._log.warning(
            event, provider=candidate.provider, key_id=candidate.key_id, upstream_status=status
        )

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)


def _resting(wait_ms: int) -> NotOpened | None:
    if not wait_ms:
        return None
    return NotOpened(EndReason.UPSTREAM_ERROR, 429, code="rate_limited", retry_after_ms=wait_ms)


def _way(variants: tuple[Variant, ...]) -> _Way:
    """Where a model runs has no rate of its own; how fast, and when, has."""
    return variants and tuple(variant for variant in variants if not variant.is_binding)


def _in_words_of(call: UpstreamCall, upstream: UpstreamDialect, refused: NotOpened) -> NotOpened:
    """What clients shorten their conversation by is told in their own protocol's word."""
    if upstream is call.dialect or not upstream_error.is_too_long(refused.message):
        return refused
    return replace(refused, code=call.dialect.errors.too_long or refused.code)


def _not_said(cannot: Untranslatable | BadRequest) -> NotOpened:
    """The upstream's protocol has no words for the request; nobody was asked."""
    return NotOpened(
        EndReason.UPSTREAM_ERROR,
        400,
        cannot.why if isinstance(cannot, Untranslatable) else cannot.message,
        Code.UNSUPPORTED_PARAMETER.value if isinstance(cannot, Untranslatable) else cannot.code,
        cannot.param,
    )


def _head(
    call: UpstreamCall,
    candidate: Candidate,
    key: OpenKey,
    upstream: UpstreamDialect,
    body: UpstreamBody,
) -> RequestHead:
    head, spoken = key.head, upstream.endpoint
    if not spoken.is_one_path:
        asked = Asked(candidate.upstream_model, call.asked.stream, body.data)
        head = head.at(endpoint.target(candidate.address, spoken, asked))
    if call.asked.stream and spoken.stream_headers:
        head = head.with_headers(spoken.stream_headers)
    return head.with_headers(body.headers) if body.headers else head
