"""`python -m tests.bench.profile [--stream] [--messages] [--concurrency 64] [--seconds 6] [--keep DIR]`.

Where the time of each Tollgate process goes under load: cProfile in every one of them at once, for
exactly the load's duration, and the functions with the most time of their own. The profiler itself
about doubles what a Python function costs and does not see inside C: read it for shares and
order, and take milliseconds from the bench.
"""

import argparse
import contextlib
import os
import pstats
import signal
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from tests.bench import children, measure, suite_target
from tests.bench.canned import Dialect, Shape
from tests.bench.load import Clients
from tests.bench.target import Kind, Process, Target

_HOOK = Path(__file__).parent / "profile_hook"
_WARM_S = 1.0
_WRITE_TIMEOUT_S = 10.0
_SHOWN = 25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("--stream", action="store_true", help="streams instead of calls")
    parser.add_argument("--messages", action="store_true", help="Anthropic's instead of chats")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the .pstats files here")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    dialect = Dialect.MESSAGES if given.messages else Dialect.CHAT
    shape = Shape(dialect, stream=given.stream)
    with contextlib.ExitStack() as stack:
        directory = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory = directory.absolute()
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob("*.pstats"):
            old.unlink()
        mock = stack.enter_context(children.mock_upstream())
        os.environ["TOLLGATE_PROFILE"] = str(directory)
        os.environ["PYTHONPATH"] = str(_HOOK)
        target = stack.enter_context(suite_target.started(mock.port, print))
        answers = uvloop.run(_under_load(target, shape, given.concurrency, given.seconds))
        services = [one for one in target.processes if one.kind is Kind.GATEWAY]
        _wait_for_files(directory, len(services))
        for file in sorted(directory.glob("*.pstats")):
            print(f"\n==== {file.stem}: {answers} calls in {given.seconds:g} s ====")
            pstats.Stats(str(file)).sort_stats("tottime").print_stats(_SHOWN)
    return 0


async def _under_load(target: Target, shape: Shape, concurrency: int, seconds: float) -> int:
    await measure.check(target)
    services = [one for one in target.processes if one.kind is Kind.GATEWAY]
    clients = Clients(target.endpoint, shape)
    try:
        await clients.open(concurrency)
        await clients.run(_WARM_S)
        _signal_all(services)
        tally = await clients.run(seconds)
        _signal_all(services)
    finally:
        clients.close()
    if tally.wrong:
        raise measure.WrongAnswerError(tally.first_wrong)
    return len(tally.latencies_ms)


def _signal_all(services: list[Process]) -> None:
    for service in services:
        os.kill(service.pid, signal.SIGUSR2)


def _wait_for_files(directory: Path, count: int) -> None:
    deadline = time.monotonic() + _WRITE_TIMEOUT_S
    while len(list(directory.glob("*.pstats"))) < count and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
