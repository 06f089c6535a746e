"""What a process measures of its dealings with Vault."""

from collections.abc import Callable

from tollgate_kit.metrics import Metrics


class VaultMeasures:
    """The metrics of all logins of one process."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = metrics.counter(
            "vault_requests_total",
            "Requests to Vault, by what came of them.",
            ("operation", "result"),
        )
        self.seconds = metrics.histogram(
            "vault_request_seconds", "How long Vault took to answer.", ("operation",)
        )
        self.up = metrics.gauge("vault_up", "1 while Vault answers, in time and as it should.")
        self.sealed = metrics.gauge("vault_sealed", "1 while Vault is sealed.")
        self.clock_skew = metrics.gauge(
            "vault_clock_skew_seconds", "Vault's clock less this machine's, at the last login."
        )
        self._ttl = metrics.gauge(
            "vault_token_ttl_seconds",
            "What is left of the token that ends first; 0: there is none.",
        )

    def show_ttl(self, seconds: Callable[[], float]) -> None:
        """Ask this at each scrape."""
        self._ttl.set_function(seconds)
