"""A trickle of calls on a suite under supervision, and what they saw, for tests of outages."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx

from tests.live import Key, Live, own_suite, wait_until
from tollgate_cli.suite import supervisor

# The suite has this long to serve again, by itself, once the cause is gone.
RECOVERY_S = 5.0
_PAUSE_S = 0.03
_RECEIPT = re.compile(r"receipt\W+(\d+)")


@dataclass
class Call:
    """What one client saw of one call."""

    started: float
    status: int = 0  # 0: no whole answer
    trace_id: str = ""
    receipt: int | None = None


class Trickle:
    """Two clients of a suite, one that streams and one that does not, for the length of a block."""

    def __init__(self, live: Live, key: Key, model: str) -> None:
        self._live, self._key, self._model = live, key, model
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, kwargs={"stream": s}) for s in (False, True)
        ]
        self.calls: list[Call] = []

    def __enter__(self) -> "Trickle":  # noqa: PYI034 - not meant to be subclassed
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a call never ended"

    def _client(self, *, stream: bool) -> None:
        with httpx.Client() as client:
            while not self._stop.wait(_PAUSE_S):
                call = Call(time.monotonic())
                with contextlib.suppress(httpx.HTTPError):
                    answer = self._live.call(
                        self._key, self._model, stream=stream, client=client, timeout=20
                    )
                    call.trace_id = answer.headers.get("x-request-id", "")
                    whole = not stream or "[DONE]" in answer.text
                    text = answer.text if stream else answer.headers.get("x-tollgate-receipt", "")
                    shown = _RECEIPT.search(text if stream else f"receipt {text}")
                    call.receipt = int(shown[1]) if shown else None
                    call.status = answer.status_code if whole else 0
                self.calls.append(call)

    def since(self, moment: float) -> list[int]:
        """The statuses of the calls that started after the moment."""
        return [call.status for call in self.calls if call.started > moment]

    def wait_steady(self, moment: float, seconds: float = RECOVERY_S) -> None:
        """Wait until ten calls in a row that started after the moment went well."""

        def steady() -> bool:
            return len(last := self.since(moment)[-10:]) == 10 and set(last) == {200}

        try:
            wait_until(steady, seconds)
        except AssertionError:
            raise AssertionError(f"not well again: {self.since(moment)[-20:]}") from None


@contextlib.contextmanager
def supervised(home: Path) -> Iterator[Live]:
    """A suite of its own that is looked after as `tollgate up` does: what crashes is started again."""
    with own_suite(home) as live:
        signals = supervisor.Signals()
        watch = supervisor.Watch(live.suite, signals)
        thread = threading.Thread(target=watch.run)
        thread.start()
        try:
            yield live
        finally:
            signals.count = 1
            thread.join(30)


def assert_nothing_lost(live: Live, calls: list[Call]) -> None:
    """Every receipt that a client saw is the end of that call in the log; the log verifies."""
    entries: list[dict[str, Any]] = []

    def read() -> bool:
        # A pooled connection that died with its server is noticed at its next use, once each.
        with contextlib.suppress(grpc.RpcError):
            entries[:] = [json.loads(entry.leaf) for entry in live.entries()]
        return bool(entries)

    wait_until(read, 10)
    seen = [call for call in calls if call.receipt is not None]
    assert len(seen) > 10
    for call in seen:
        assert call.receipt is not None
        leaf = entries[call.receipt]
        assert ("CALL_FINISHED", call.trace_id) == (leaf["kind"], leaf["trace_id"])
    size = max(call.receipt for call in seen if call.receipt is not None) + 1

    def verified() -> bool:
        report = live.cli("audit", "verify", "--json")
        return report.returncode == 0 and json.loads(report.stdout)["facts"]["entries"] >= size

    wait_until(verified, 15, every=0.5)
