"""One round of one load on one target: rate, latencies, CPU time by process.

Promises: CPU times are differences of the kernel's own counters over exactly the timed calls; what
other programs on the machine used in that time is measured as well.
"""

import asyncio
import os
import time
from dataclasses import dataclass

from tests.bench import canned, process_times
from tests.bench.canned import Dialect, Shape
from tests.bench.load import Clients, Tally
from tests.bench.percentile import percentile
from tests.bench.target import Kind, Process, Target

# After the last answer the suite still settles and publishes: that belongs to these calls.
_TRAILING_S = 0.1
Figures = dict[str, float | dict[str, float]]


@dataclass(frozen=True)
class Load:
    """A shape of calls at a concurrency."""

    shape: Shape
    concurrency: int

    @property
    def name(self) -> str:
        """As it stands in the JSON, for example "chat stream c=16"."""
        kind = "paced stream" if self.shape.pace_ms else "stream" if self.shape.stream else "call"
        spoken = "crossed" if self.shape.crossed else self.shape.dialect.name.lower()
        return f"{spoken} {kind} c={self.concurrency}"


@dataclass(frozen=True)
class Spans:
    """How long one round is."""

    warm_s: float
    timed_s: float


class WrongAnswerError(Exception):
    """A target did not answer as it must, so its figures would be worth nothing."""


@dataclass(frozen=True)
class _Snapshot:
    at: float
    # By process id: the roots of all trees that this bench knows.
    cpu_s: dict[int, float]
    own_cpu_s: float
    machine: process_times.MachineTimes


async def check(target: Target) -> None:
    """One call of each shape, decoded in full, before anything is timed. Raises on a wrong one."""
    shapes = [
        Shape(dialect, stream, crossed=crossed)
        for dialect in Dialect
        for stream in (False, True)
        for crossed in (False, True)
    ]
    for shape in shapes:
        body = await _one_answer(target, shape)
        try:
            text = canned.text_of(shape, body)
        except (ValueError, KeyError, IndexError) as error:
            raise WrongAnswerError(f"{target.name}, {shape}: not readable: {error!r}") from error
        if text != canned.TEXT:
            raise WrongAnswerError(f"{target.name}, {shape}: another text: {text[:200]}")


async def one_round(target: Target, load: Load, spans: Spans, known: list[Process]) -> Figures:
    """The figures of one round. Raises WrongAnswerError when a single answer was wrong."""
    clients = Clients(target.endpoint, load.shape)
    try:
        await clients.open(load.concurrency)
        _verify(target, load, await clients.run(spans.warm_s))
        before = _snapshot(known)
        tally = await clients.run(spans.timed_s)
        _verify(target, load, tally)
        await asyncio.sleep(_TRAILING_S)
        after = _snapshot(known)
    except OSError as error:
        raise WrongAnswerError(f"{target.name}, {load.name}: {error}") from error
    finally:
        clients.close()
    return _figures(target, tally, before, after)


async def idle(target: Target, seconds: float, known: list[Process]) -> dict[str, float]:
    """CPU milliseconds per second by process, when nobody calls."""
    before = _snapshot(known)
    await asyncio.sleep(seconds)
    after = _snapshot(known)
    took = after.at - before.at
    return {
        process.name: (after.cpu_s[process.pid] - before.cpu_s[process.pid]) * 1e3 / took
        for process in target.processes
    }


async def _one_answer(target: Target, shape: Shape) -> bytes:
    clients = Clients(target.endpoint, shape)
    try:
        await clients.open(1)
        # No time at all: the one call that is started is also the last.
        tally = await clients.run(0)
    except OSError as error:
        raise WrongAnswerError(f"{target.name}, {shape}: {error}") from error
    finally:
        clients.close()
    if tally.wrong:
        raise WrongAnswerError(f"{target.name}, {shape}: {tally.first_wrong}")
    return bytes(tally.last_body)


def _verify(target: Target, load: Load, tally: Tally) -> None:
    if tally.wrong:
        raise WrongAnswerError(
            f"{target.name}, {load.name}: {tally.wrong} wrong answers; the first: "
            f"{tally.first_wrong}"
        )
    if not tally.latencies_ms:
        raise WrongAnswerError(f"{target.name}, {load.name}: no answer at all")


def _snapshot(known: list[Process]) -> _Snapshot:
    table = process_times.read_table()
    times = os.times()
    return _Snapshot(
        at=time.perf_counter(),
        cpu_s={process.pid: process_times.cpu_seconds(table, process.pid) for process in known},
        own_cpu_s=times.user + times.system,
        machine=process_times.machine(),
    )


def _figures(target: Target, tally: Tally, before: _Snapshot, after: _Snapshot) -> Figures:
    took = after.at - before.at
    spent = {pid: after.cpu_s[pid] - before.cpu_s[pid] for pid in after.cpu_s}
    ours = sum(spent.values()) + after.own_cpu_s - before.own_cpu_s
    busy = after.machine.busy - before.machine.busy
    answers = len(tally.latencies_ms)
    cpu_ms = {process.name: spent[process.pid] * 1e3 / answers for process in target.processes}
    sums = {
        kind: sum(cpu_ms[process.name] for process in target.processes if process.kind is kind)
        for kind in Kind
    }
    latencies = sorted(tally.latencies_ms)
    figures: Figures = {
        "answers": answers,
        "per_second": answers / tally.seconds,
        "p50_ms": percentile(latencies, 50),
        "p99_ms": percentile(latencies, 99),
        "gateway_cpu_ms": sums[Kind.GATEWAY],
        "engine_cpu_ms": sums[Kind.ENGINE],
        "gateway_cores": sums[Kind.GATEWAY] * answers / 1e3 / tally.seconds,
        "cpu_ms": cpu_ms,
        "load_cores": (after.own_cpu_s - before.own_cpu_s) / tally.seconds,
        "foreign_cores": max(0.0, (busy - ours) / took),
        "stolen_cores": (after.machine.stolen - before.machine.stolen) / took,
    }
    if firsts := sorted(tally.first_chunks_ms):
        figures["first_chunk_p50_ms"] = percentile(firsts, 50)
        figures["first_chunk_p99_ms"] = percentile(firsts, 99)
    return figures
