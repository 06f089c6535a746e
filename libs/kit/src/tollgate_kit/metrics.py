"""Prometheus metrics of one process, served on a listener of their own.

Every name is tollgate_<name>, and every sample says which service it is of: label `service`.
Counters and histograms are our own, for they are on the way of every call: prometheus_client's
take a lock for each look-up and each increment. Ours are changed by the event loop's thread
alone, and prometheus_client reads and shows them at a scrape.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Self

from prometheus_client import CollectorRegistry, Gauge, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

# Seconds: from a local round trip to a slow model.
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class _Labelled:
    """What counters and histograms have in common: children by label values."""

    def __init__(self, labels: tuple[str, ...], child: Callable[[], Self]) -> None:
        self.label_names = labels
        self._child = child
        self._children: dict[tuple[str, ...], Self] = {}

    def labels(self, *values: str) -> Self:
        """The child with these label values, which come from a closed set."""
        child = self._children.get(values)
        if child is None:
            assert len(values) == len(self.label_names), f"labels are {self.label_names}"
            child = self._children[values] = self._child()
        return child

    def children(self) -> list[tuple[tuple[str, ...], Self]]:
        """Label values and child; a metric without labels is its own."""
        return list(self._children.items()) if self.label_names else [((), self)]


class Counter(_Labelled):
    """A count that only grows."""

    def __init__(self, labels: tuple[str, ...] = ()) -> None:
        super().__init__(labels, type(self))
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class Histogram(_Labelled):
    """How often values fell at or below each bound, and their sum."""

    def __init__(self, bounds: tuple[float, ...], labels: tuple[str, ...] = ()) -> None:
        super().__init__(labels, partial(type(self), bounds))
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Metrics:
    """Makes the process's metrics. Asking for a name again gives the same metric."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._counters: dict[str, tuple[str, Counter]] = {}
        self._histograms: dict[str, tuple[str, Histogram]] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """A count that only grows. The name ends in _total."""
        _, counter = self._counters.setdefault(name, (doc, Counter(tuple(labels))))
        assert counter.label_names == tuple(labels), f"two metrics are called {name}"
        return counter

    def histogram(
        self, name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """A distribution. The name ends in its unit."""
        made = Histogram(tuple(buckets), tuple(labels))
        _, histogram = self._histograms.setdefault(name, (doc, made))
        assert histogram.label_names == made.label_names, f"two metrics are called {name}"
        return histogram

    def gauge(self, name: str, doc: str) -> Gauge:
        """A value that goes up and down."""
        gauge = Gauge(f"tollgate_{name}", doc, ("service",), registry=self.registry)
        return gauge.labels(self._service)

    def collect(self) -> Iterator[Metric]:
        """All counters and histograms as prometheus_client shows them."""
        for name, (doc, counter) in list(self._counters.items()):
            labels = ("service", *counter.label_names)
            counters = CounterMetricFamily(f"tollgate_{name}", doc, labels=labels)
            for values, child in counter.children():
                counters.add_metric((self._service, *values), child.value)
            yield counters
        for name, (doc, histogram) in list(self._histograms.items()):
            labels = ("service", *histogram.label_names)
            histograms = HistogramMetricFamily(f"tollgate_{name}", doc, labels=labels)
            bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
            for values, one in histogram.children():
                buckets = list(zip(bounds, accumulate(one.counts), strict=True))
                histograms.add_metric((self._service, *values), buckets, one.sum)
            yield histograms

    def serve(self, listen: str) -> Callable[[], None]:
        """Serve GET /metrics on host:port; call what is returned to stop."""
        host, _, port = listen.rpartition(":")
        server, thread = start_http_server(int(port), host, registry=self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5)

        return stop
