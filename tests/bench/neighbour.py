"""What a noisy neighbour costs another key: `python -m tests.bench.neighbour [--seconds N]`.

A suite of its own, one key with money that calls at a steady pace, and a flood by a key of another
tenant that has none: half-sent bodies, 32 MB bodies, idle sockets, 1,250 lines of calls without
end, calls that do not wait for their answer. Prints, for the calm before and for each flood: calls,
refused, p50 and p99. Target: 0 refused, p99 at most
twice the calm's. Flood, suite and measurement share the machine: with few cores that is the limit.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from tests.bench.percentile import percentile
from tests.live import Key, Live, own_suite

REPOSITORY = Path(__file__).parents[2]
FLOODS = ("calm", "half", "large", "idle", "calls", "storm")
LINES = 4
PAUSE_SECONDS = 0.02
# The flood is in full swing when the measurement begins.
LEAD_SECONDS = 2.0
ANSWER_SECONDS = 10.0


@dataclass
class Figures:
    """The calls of one measurement."""

    latencies_ms: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def line(self, name: str, flooded: str) -> str:
        """One row of the report."""
        ordered = sorted(self.latencies_ms) or [float("nan")]
        p50, p99 = (percentile(ordered, part) for part in (50, 99))
        calls = len(self.latencies_ms) + len(self.refused)
        why = f"  first: {self.refused[0]}" if self.refused else ""
        return (
            f"{name:7} calls {calls:5}  refused {len(self.refused):4}  p50 {p50:7.2f} ms  "
            f"p99 {p99:7.2f} ms  flood sent {flooded or '-':>7}{why}"
        )


async def measure(port: int, key: str, model: str, seconds: float) -> Figures:
    """A few lines that call at a steady pace."""
    figures = Figures()
    body = json.dumps(
        {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
    ).encode()
    text = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    until = time.monotonic() + seconds

    async def line() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    writer.write(text)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                    await reader.readexactly(int(length))
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                figures.refused.append(type(error).__name__)
                writer.transport.abort()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                continue
            if head.startswith(b"HTTP/1.1 200 "):
                figures.latencies_ms.append((time.perf_counter() - began) * 1e3)
            else:
                figures.refused.append(head.split(b"\r\n", 1)[0].decode())
            await asyncio.sleep(PAUSE_SECONDS)
        writer.transport.abort()

    await asyncio.gather(*(line() for _ in range(LINES)))
    return figures


def one(live: Live, mode: str, good: Key, bad: Key, model: str, seconds: float) -> str:
    """Measure the good key's calls while the bad one floods; a row of the report."""
    port = int(live.api_urls[0].rpartition(":")[2])
    if mode == "calm":
        return uvloop.run(measure(port, good.text, model, seconds)).line(mode, "")
    arguments = (mode, str(port), bad.text, model, str(LEAD_SECONDS + seconds))
    with subprocess.Popen(
        (sys.executable, "-m", "tests.bench.flood", *arguments),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as flood:
        time.sleep(LEAD_SECONDS)
        figures = uvloop.run(measure(port, good.text, model, seconds))
        try:
            sent, _ = flood.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            flood.kill()
            sent = "killed"
    return figures.line(mode, sent.strip())


def main() -> None:
    """Start, measure, print."""
    parser = argparse.ArgumentParser(prog="tests.bench.neighbour")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--floods", nargs="*", default=list(FLOODS), choices=FLOODS)
    arguments = parser.parse_args()
    # In memory where that can be: the stalls of a disk are not what is measured.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="tollgate-neighbour-", dir=memory if memory.is_dir() else None
    ) as name:
        # Passable: root's PostgreSQL runs as another user, and its data is below this.
        Path(name).chmod(0o711)
        with own_suite(Path(name) / "home") as live:
            model = live.model("demo-gpt")
            good, bad = live.key(live.tenant(1000.0)), live.key(live.tenant(0.0))
            assert live.call(good, model).status_code == 200
            assert live.call(bad, model).status_code == 402
            for mode in arguments.floods:
                print(one(live, mode, good, bad, model, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
