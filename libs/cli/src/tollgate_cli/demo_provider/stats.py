"""What the demo provider served: the truth that a charge is compared to."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Oldest calls are forgotten beyond this.
_MAX_CALLS = 100_000


@dataclass
class ServedCall:
    """One model call, as far as it got."""

    model: str
    path: str
    stream: bool
    trace_id: str
    status: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    aborted_by_peer: bool = False
    finished: bool = False


@dataclass
class Stats:
    """Counters since the start of the state file."""

    requests: int = 0
    refused_keys: int = 0
    aborted_by_peer: int = 0
    open_calls: int = 0
    open_streams: int = 0
    by_model: Counter[str] = field(default_factory=Counter)
    calls: dict[str, ServedCall] = field(default_factory=dict)

    def begin(self, call: ServedCall) -> None:
        self.requests += 1
        self.open_calls += 1
        self.open_streams += call.stream
        self.by_model[call.model] += 1
        name = call.trace_id or f"call-{self.requests}"
        # A retry keeps its own record: both attempts were served.
        while name in self.calls:
            name += "+"
        self.calls[name] = call
        if len(self.calls) > _MAX_CALLS:
            del self.calls[next(iter(self.calls))]

    def end(self, call: ServedCall, *, aborted: bool) -> None:
        self.open_calls -= 1
        self.open_streams -= call.stream
        call.aborted_by_peer = aborted
        call.finished = not aborted
        self.aborted_by_peer += aborted

    def document(self) -> dict[str, Any]:
        calls = {name: asdict(call) for name, call in self.calls.items()}
        return {
            "requests": self.requests,
            "refused_keys": self.refused_keys,
            "aborted_by_peer": self.aborted_by_peer,
            "open_calls": self.open_calls,
            "open_streams": self.open_streams,
            "by_model": dict(self.by_model),
            "billed_input_tokens": sum(call.input_tokens for call in self.calls.values()),
            "billed_output_tokens": sum(call.output_tokens for call in self.calls.values()),
            "calls": calls,
        }

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.document()))

    @classmethod
    def load(cls, path: Path) -> "Stats":
        if not path.exists():
            return cls()
        saved = json.loads(path.read_text())
        return cls(
            requests=saved["requests"],
            refused_keys=saved["refused_keys"],
            aborted_by_peer=saved["aborted_by_peer"],
            by_model=Counter(saved["by_model"]),
            calls={name: ServedCall(**call) for name, call in saved["calls"].items()},
        )
