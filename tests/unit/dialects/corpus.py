"""Recorded traffic for tests: where it is, and its answers as an upstream sends them.

The corpus is test data only and no part of the repository.
"""

import functools
import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tollgate_dialects.common.protocol import Protocol

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("TOLLGATE_CORPUS") or ROOT.parent / "shared" / "corpus")


@functools.cache
def _exchanges() -> tuple[dict[str, Any], ...]:
    with gzip.open(CORPUS / "exchanges.jsonl.gz", "rt") as file:
        return tuple(json.loads(line) for line in file)


def exchanges(*apis: str) -> list[dict[str, Any]]:
    """The recordings of these APIs, all if none is named; skips the test where there are none."""
    if not (CORPUS / "exchanges.jsonl.gz").exists():
        pytest.skip("no recorded traffic: set TOLLGATE_CORPUS to the corpus folder")
    return [one for one in _exchanges() if not apis or one["api"] in apis]


def stream_of(protocol: Protocol, exchange: dict[str, Any]) -> bytes:
    """The recorded bytes; recordings of bare events get their framing back."""
    text: str = exchange["resp_text"]
    if protocol is Protocol.DASHSCOPE:
        # Who published some of them has left the blank lines between frames out.
        return re.sub(r"\n+(?=id:\d+\n|\Z)", "\n\n", text).encode()
    if exchange["resp_ct"] != "x-chunk-lines":
        return text.encode()
    events = [
        line.removeprefix("data:").strip()
        for line in text.splitlines()
        if line.strip() and "[DONE]" not in line
    ]
    if protocol is Protocol.OPENAI_CHAT:
        return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()
    if protocol is Protocol.GEMINI:
        return "".join(f"data: {event}\n\n" for event in events).encode()
    return "".join(
        f"event: {json.loads(event)['type']}\ndata: {event}\n\n" for event in events
    ).encode()
