"""Prometheus metrics of one process, served on a listener of their own."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

# Seconds: from a local round trip to a slow model.
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)


class Metrics:
    """Makes the process's metrics; names get the prefix tollgate_<service>_."""

    def __init__(self, service: str) -> None:
        self._prefix = f"tollgate_{service.replace('-', '_')}_"
        self._registry = CollectorRegistry()

    def counter(self, name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
        """A count that only grows. The name ends in _total."""
        return Counter(self._prefix + name, doc, labels, registry=self._registry)

    def gauge(self, name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
        """A value that goes up and down."""
        return Gauge(self._prefix + name, doc, labels, registry=self._registry)

    def histogram(
        self, name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS
    ) -> Histogram:
        """A distribution. The name ends in its unit."""
        return Histogram(
            self._prefix + name, doc, labels, buckets=tuple(buckets), registry=self._registry
        )

    def serve(self, listen: str) -> Callable[[], None]:
        """Serve GET /metrics on host:port; call what is returned to stop."""
        host, _, port = listen.rpartition(":")
        server, thread = start_http_server(int(port), host, registry=self._registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(timeout=5)

        return stop
