"""The metrics of a process: what a scrape shows is what prometheus_client's own would show."""

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tollgate_kit.metrics import SECONDS, Metrics

VALUES = (0.0, 0.0005, 0.00051, 0.25, 120, 121)


def shown(registry: CollectorRegistry) -> list[str]:
    """The exposition without the times at which metrics were made."""
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if "_created" not in line)


def test_a_scrape_shows_what_prometheus_clients_own_metrics_would_show():
    """Counters, histograms and gauges, with and without labels, values on a bound included."""
    ours = Metrics("edge-api")
    calls = ours.counter("calls_total", "Calls.", ("outcome",))
    bare = ours.counter("bare_total", "Bare.")
    seconds = ours.histogram("wait_seconds", "Waits.", ("method",))
    sizes = ours.histogram("batch_entries", "Sizes.", buckets=(1, 2, 4))
    ours.gauge("depth", "Depth.").set(3)

    registry = CollectorRegistry()
    service = ("service",)
    their_calls = prometheus_client.Counter(
        "tollgate_calls_total", "Calls.", ("service", "outcome"), registry=registry
    )
    their_bare = prometheus_client.Counter(
        "tollgate_bare_total", "Bare.", service, registry=registry
    ).labels("edge-api")
    their_seconds = prometheus_client.Histogram(
        "tollgate_wait_seconds", "Waits.", ("service", "method"), buckets=SECONDS, registry=registry
    )
    their_sizes = prometheus_client.Histogram(
        "tollgate_batch_entries", "Sizes.", service, buckets=(1, 2, 4), registry=registry
    ).labels("edge-api")
    prometheus_client.Gauge("tollgate_depth", "Depth.", service, registry=registry).labels(
        "edge-api"
    ).set(3)

    assert shown(registry) == shown(ours.registry)
    for value in VALUES:
        for outcome in ("answered", 'quo"ted'):
            calls.labels(outcome).inc()
            their_calls.labels("edge-api", outcome).inc()
        bare.inc(value)
        their_bare.inc(value)
        seconds.labels("M").observe(value)
        their_seconds.labels("edge-api", "M").observe(value)
        sizes.observe(value)
        their_sizes.observe(value)
    assert shown(registry) == shown(ours.registry)


def test_asking_again_gives_the_same_metric_and_never_another_one():
    """Every session pool of a process counts into one set; a name has one set of labels."""
    metrics = Metrics("edge-api")
    one = metrics.counter("calls_total", "Calls.", ("outcome",))
    assert one is metrics.counter("calls_total", "Calls.", ("outcome",))
    with pytest.raises(AssertionError):
        metrics.counter("calls_total", "Calls.", ("protocol",))
    with pytest.raises(AssertionError):
        one.labels("answered", "openai.chat")
