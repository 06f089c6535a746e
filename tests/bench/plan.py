"""Which loads run on which targets, in which order, and within which time."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench import measure
from tests.bench.canned import Dialect, Shape
from tests.bench.measure import Figures, Load, Spans, WrongAnswerError
from tests.bench.percentile import medians
from tests.bench.process_times import ProcessGoneError
from tests.bench.target import DIRECT, SUITE, Process, Target

_PACE_MS = 5
_CALLS = tuple(Load(Shape(Dialect.CHAT), concurrency) for concurrency in (1, 16, 64))
_STREAMS = tuple(
    Load(Shape(Dialect.CHAT, stream=True, pace_ms=pace_ms), concurrency)
    for pace_ms in (0, _PACE_MS)
    for concurrency in (16, 64)
)
# A relay does not tell protocols apart, so these run on the suite, and on the mock to compare.
_MESSAGES = (
    Load(Shape(Dialect.MESSAGES), 64),
    Load(Shape(Dialect.MESSAGES, stream=True), 64),
)
# A chat on an upstream of messages: what translation costs.
_CROSSED = (
    Load(Shape(Dialect.CHAT, crossed=True), 64),
    Load(Shape(Dialect.CHAT, stream=True, crossed=True), 64),
)


@dataclass(frozen=True)
class Plan:
    """How thorough a run is."""

    rounds: int
    spans: Spans
    idle_s: float
    # No round begins later than this after the first one.
    limit_s: float


FULL = Plan(rounds=3, spans=Spans(warm_s=0.3, timed_s=2.0), idle_s=3.0, limit_s=300.0)
QUICK = Plan(rounds=1, spans=Spans(warm_s=0.2, timed_s=0.7), idle_s=1.0, limit_s=45.0)


@dataclass
class Outcome:
    """What was measured, by target and by load."""

    idle: dict[str, dict[str, float]] = field(default_factory=dict)
    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    # What went wrong, and what was left out for it.
    faults: list[str] = field(default_factory=list)

    def medians(self) -> dict[str, dict[str, Figures]]:
        """By target and load: the medians of the rounds, with their number."""
        return {
            target: {
                load: {**medians(rounds), "rounds": len(rounds)}
                for load, rounds in by_load.items()
                if rounds
            }
            for target, by_load in self.rounds.items()
        }


def loads_for(target: Target) -> tuple[Load, ...]:
    both = target.name in {DIRECT, SUITE}
    return (*_CALLS, *_STREAMS, *((*_MESSAGES, *_CROSSED) if both else ()))


async def carry_out(plan: Plan, targets: list[Target], say: Callable[[str], None]) -> Outcome:
    """Every load on every target, target after target within a load, round after round.

    Targets take turns within seconds of one another: what the machine does besides, and how fast
    it runs this hour, falls on all of them alike.
    """
    outcome = Outcome()
    try:
        await _measure(plan, targets, say, outcome)
    except ProcessGoneError as gone:
        # What is left would share the machine with whatever broke: no more figures.
        outcome.faults.append(str(gone))
    return outcome


async def _measure(
    plan: Plan, targets: list[Target], say: Callable[[str], None], outcome: Outcome
) -> None:
    known = [process for target in targets for process in target.processes]
    targets = [target for target in targets if await _sound(target, outcome)]
    for target in targets:
        outcome.rounds[target.name] = {load.name: [] for load in loads_for(target)}
        outcome.idle[target.name] = await measure.idle(target, plan.idle_s, known)
    void: set[tuple[str, str]] = set()
    stop_at = time.monotonic() + plan.limit_s
    for number in range(plan.rounds):
        for load in (*_CALLS, *_STREAMS, *_MESSAGES, *_CROSSED):
            if time.monotonic() > stop_at:
                outcome.faults.append(f"out of time in round {number + 1}, at {load.name}")
                return
            say(f"round {number + 1} of {plan.rounds}: {load.name}")
            for target in targets:
                if load in loads_for(target) and (target.name, load.name) not in void:
                    await _add_round(target, load, plan.spans, known, outcome, void)


async def _sound(target: Target, outcome: Outcome) -> bool:
    try:
        await measure.check(target)
    except WrongAnswerError as wrong:
        outcome.faults.append(str(wrong))
        return False
    return True


async def _add_round(
    target: Target,
    load: Load,
    spans: Spans,
    known: list[Process],
    outcome: Outcome,
    void: set[tuple[str, str]],
) -> None:
    # A collection in the middle of a round would be a latency of the generator's own.
    gc.collect()
    gc.disable()
    try:
        figures = await measure.one_round(target, load, spans, known)
    except WrongAnswerError as wrong:
        outcome.faults.append(str(wrong))
        outcome.rounds[target.name][load.name].clear()
        void.add((target.name, load.name))
    else:
        outcome.rounds[target.name][load.name].append(figures)
    finally:
        gc.enable()
