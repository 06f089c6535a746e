"""`python -m tests.bench.beside TREE`: this tree's suite and another tree's, both up, in turn.

TREE is another working tree of this repository after `make setup` there, such as
`git worktree add --detach TREE COMMIT`. A machine's speed changes within minutes, so two versions
are compared by the ratio of rounds that follow one another, never by two runs. The ratio above
1 means that this tree uses more CPU time. A tree beside a copy of itself shows the noise.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import children, measure, suite_target
from tests.bench.canned import Dialect, Shape
from tests.bench.load import Endpoint
from tests.bench.measure import Figures, Load, Spans
from tests.bench.run import place
from tests.bench.target import Kind, Process, Target

_LOADS = tuple(Load(Shape(dialect, stream), 64) for dialect in Dialect for stream in (False, True))
_CROSSED = tuple(Load(Shape(Dialect.CHAT, stream, crossed=True), 64) for stream in (False, True))
_START_TIMEOUT_S = 180.0
# Runs in the other tree, with its interpreter and its own bench. Ends when its input does.
_OTHER = """
import json, sys
from tests.bench import suite_target
with suite_target.started(int(sys.argv[1]), lambda text: None) as target:
    processes = [(one.name, one.pid, one.kind.value) for one in target.processes]
    print(json.dumps([target.endpoint.port, target.endpoint.key, processes]), flush=True)
    sys.stdin.read()
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.beside", description=__doc__)
    parser.add_argument("tree", type=Path, metavar="TREE", help="the other working tree")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--crossed", action="store_true", help="translated calls, too")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        mock = stack.enter_context(children.mock_upstream())
        ours = stack.enter_context(suite_target.started(mock.port, _say))
        theirs = stack.enter_context(_other(given.tree.resolve(), mock.port))
        place([ours, theirs])
        loads = (*_LOADS, *_CROSSED) if given.crossed else _LOADS
        spans = Spans(warm_s=0.2, timed_s=given.seconds)
        for load in loads:
            _compare(load, asyncio.run(_rounds(load, (ours, theirs), spans, given.rounds)))


@contextlib.contextmanager
def _other(tree: Path, mock_port: int) -> Iterator[Target]:
    command = (str(tree / ".venv" / "bin" / "python"), "-c", _OTHER, str(mock_port))
    with subprocess.Popen(
        command, cwd=tree, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                sys.exit(f"the suite of {tree} did not start, see above")
            port, key, processes = json.loads(line)
            roots = tuple(Process(name, pid, Kind(kind)) for name, pid, kind in processes)
            yield Target(tree.name, Endpoint(port, key), roots)
        finally:
            process.stdin.close()
            process.wait(_START_TIMEOUT_S)


async def _rounds(
    load: Load, targets: tuple[Target, Target], spans: Spans, count: int
) -> list[tuple[Figures, Figures]]:
    known = [process for target in targets for process in target.processes]
    pairs = []
    for number in range(count):
        # Who is first changes, so that what the first leaves behind falls on both.
        order = targets if number % 2 else targets[::-1]
        done = {one.name: await measure.one_round(one, load, spans, known) for one in order}
        pairs.append((done[targets[0].name], done[targets[1].name]))
    return pairs


def _compare(load: Load, pairs: list[tuple[Figures, Figures]]) -> None:
    """One line: CPU milliseconds of both, the ratio, and by process those of this and of that."""
    ours, theirs = ([pair[side]["gateway_cpu_ms"] for pair in pairs] for side in (0, 1))
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    parts = ", ".join(
        f"{name} {_median(pairs, 0, name):.3f}/{_median(pairs, 1, name):.3f}"
        for name in pairs[0][0]["cpu_ms"]
    )
    print(
        f"{load.name}: {statistics.median(ours):.3f} and {statistics.median(theirs):.3f} ms, "
        f"ratio {ratio:.2f} ({parts})",
        flush=True,
    )


def _median(pairs: list[tuple[Figures, Figures]], side: int, name: str) -> float:
    return statistics.median(pair[side]["cpu_ms"][name] for pair in pairs)


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
