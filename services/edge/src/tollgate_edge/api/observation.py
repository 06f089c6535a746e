"""What is seen of a call from outside: one log line and the metrics. Labels are bounded."""

from tollgate_edge.api.call.call import Call
from tollgate_edge.errors.money import usd
from tollgate_kit.clock import Clock
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics

ANSWERED = "answered"
# An answered call whose client had left, or was cut off by us, before its end.
UNHEARD = "client_gone"


class Observation:
    """Counts and logs calls."""

    def __init__(self, *, clock: Clock, metrics: Metrics, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._calls = metrics.counter(
            "calls_total", "Calls ended, by protocol and outcome.", ("protocol", "outcome")
        )
        self._added = metrics.histogram(
            "added_seconds", "Time a call spent in the edge before router and after its end."
        )
        self._first_byte = metrics.histogram(
            "first_byte_audit_wait_seconds", "Time a first byte waited for CALL_ADMITTED."
        )
        self._total = metrics.histogram("call_seconds", "Time from request to last byte.")

    def first_byte_waited(self, seconds: float) -> None:
        """A first byte was ready this long before it was allowed to leave."""
        self._first_byte.observe(seconds)

    def ended(self, call: Call) -> None:
        """The canonical line of a call, and its counts."""
        now = self._clock.monotonic()
        seconds = now - call.began_at
        protocol = call.exchange.face.protocol.value
        outcome = self._outcome(call)
        # Both labels are of closed sets, so this has a bound.
        self._calls.labels(protocol, outcome).inc()
        self._total.observe(seconds)
        added = None
        if call.sent_at is not None and call.ended_at is not None:
            added = seconds - (call.ended_at - call.sent_at)
            self._added.observe(added)
        self._write(call, protocol, outcome, seconds, added)

    def _outcome(self, call: Call) -> str:
        if call.refusal is not None:
            return call.refusal.reason.lower()
        return UNHEARD if call.exchange.connection.gone else ANSWERED

    def _write(
        self, call: Call, protocol: str, outcome: str, seconds: float, added: float | None
    ) -> None:
        grant, request, ended = call.grant, call.request, call.outcome
        fields: dict[str, object] = {
            "trace_id": call.exchange.trace_id,
            "protocol": protocol,
            "status": call.exchange.status,
            "outcome": outcome,
            "ms": round(seconds * 1000, 3),
        }
        if grant is not None:
            fields |= {"tenant_id": grant.tenant_id, "key_id": grant.key_id}
        if request is not None:
            fields |= {"model": call.model, "stream": request.stream}
        if ended is not None:
            fields |= {
                "end_reason": ended.end_reason,
                "cost_usd": usd(ended.cost_nano_usd) if ended.known else None,
                "charge_reason": ended.charge_reason,
                "usage_source": ended.usage_source,
                "input_tokens": ended.usage.total_input_tokens,
                "output_tokens": ended.usage.total_output_tokens,
                "route": call.provider,
                "attempts": ended.attempts,
                "receipt": call.receipt,
            }
        if added is not None:
            fields["added_ms"] = round(added * 1000, 3)
        self._log.info("call", **fields)
