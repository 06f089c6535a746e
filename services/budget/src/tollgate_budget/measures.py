"""Budget's own metrics; those of its RPCs are the kit's."""

from tollgate_kit.metrics import Metrics

_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Measures:
    """The service's metrics; none has a tenant or an account as a label."""

    def __init__(self, metrics: Metrics) -> None:
        self.queue_steps = metrics.gauge("queue_steps", "Reserves and settlements that wait")
        self.batch_steps = metrics.histogram(
            "batch_steps", "Reserves and settlements in one commit", buckets=_STEPS
        )
        self.commit_seconds = metrics.histogram("commit_seconds", "From a batch's start to its end")
        self.commit_failures = metrics.counter(
            "commit_failures_total", "Batches without an answer, by why", ("reason",)
        )
        self.commits_unknown = metrics.counter(
            "commits_unknown_total", "Commits whose answer was lost and had to be read back"
        )
        self.rates_seconds = metrics.histogram("rates_seconds", "Round trips to Redis")
        self.rates_failures = metrics.counter("rates_failures_total", "Round trips without answer")
        self.refunds_lost = metrics.counter(
            "refunds_lost_total", "Rate refunds that could not be written; errs on the strict side"
        )
        self.quarantined = metrics.counter(
            "quarantined_total", "Reservations that timed out and stay counted"
        )
        self.invariant_violations = metrics.counter(
            "invariant_violations_total",
            "Account months that contradict the cap or their transfers: anything but 0 is a bug",
        )
        self.check_seconds = metrics.histogram("check_seconds", "Duration of the invariant check")
