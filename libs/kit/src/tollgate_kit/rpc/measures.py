"""What is counted of RPCs: how they ended and how long they took, unary and in sessions alike."""

import time

from tollgate_kit.metrics import Counter, Histogram, Metrics

# Whatever name a peer made up: it must not become a label.
UNKNOWN_METHOD = "unknown"


class RpcMeasures:
    """The RPC metrics of one side, "server" or "client"; prefix stands before each method."""

    def __init__(self, metrics: Metrics, side: str, prefix: str = "") -> None:
        self._prefix = prefix
        self._handled = metrics.counter(
            f"rpc_{side}_handled_total", "RPCs that ended, by status.", ("method", "code")
        )
        self._seconds = metrics.histogram(
            f"rpc_{side}_handling_seconds", "From an RPC's begin to its end.", ("method",)
        )
        # By method and code, so that a call costs one look-up.
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def ended(self, method: str, code: str, began: float) -> None:
        """Count an RPC that began at that time.monotonic().

        method is that of a known RPC, or UNKNOWN_METHOD; code the name of a grpc.StatusCode.
        """
        try:
            handled, seconds = self._children[method, code]
        except KeyError:
            name = self._prefix + method
            handled, seconds = self._handled.labels(name, code), self._seconds.labels(name)
            self._children[method, code] = handled, seconds
        handled.value += 1
        seconds.observe(time.monotonic() - began)
