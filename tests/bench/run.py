"""`python -m tests.bench.run`: the suite, a bare relay and nginx, in one run on one mock.

It needs Linux and nothing that is not in the lock; nginx takes part if it is installed. A full
run ends within 6 minutes, `--quick` within 90 seconds. Exit code 1 when a target gave a wrong
answer or did not start: then its figures are missing, not guessed.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import signal
import subprocess
import sys
import timeit
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import children, plan, process_times, report, suite_target
from tests.bench.plan import Outcome, Plan
from tests.bench.target import DIRECT, Kind, Target, plain
from tollgate_cli.fault import Fault

_REPOSITORY = Path(__file__).parents[2]
_PAGE = _REPOSITORY / "docs" / "performance.md"
_NAMES = ("suite", "relay", "nginx")


@dataclass
class Line:
    """Who takes part, and why others do not."""

    targets: list[Target] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def main() -> int:
    given = _arguments()
    chosen = plan.QUICK if given.quick else plan.FULL
    # As Ctrl-C does: the processes are stopped and the home is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        line = _line_up(stack, given.only)
        placement = place(line.targets)
        outcome = uvloop.run(plan.carry_out(chosen, line.targets, _say))
        result = _result(line, outcome, chosen, placement)
    text = report.markdown(result)
    print(text)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if result["faults"]:
        _say("something went wrong, see above; the page is as it was")
        return 1
    if given.write_docs:
        report.write_docs(_PAGE, text)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: a direction only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--only",
        type=lambda text: tuple(text.split(",")),
        default=_NAMES,
        metavar="suite,relay,nginx",
        help="which targets; the mock alone is always measured",
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="put the tables into docs/performance.md"
    )
    given = parser.parse_args()
    if unknown := set(given.only) - set(_NAMES):
        parser.error(f"--only: no such target: {', '.join(sorted(unknown))}")
    if given.write_docs and given.quick:
        parser.error("--write-docs: a quick run is too short for figures that stay")
    return given


def _line_up(stack: contextlib.ExitStack, only: tuple[str, ...]) -> Line:
    """Starts the mock and the targets."""
    line = Line()
    mock = stack.enter_context(children.mock_upstream())
    line.targets.append(plain(DIRECT, mock))
    nginx = children.nginx_program()
    try:
        if "nginx" in only and nginx:
            line.targets.append(
                plain("nginx", stack.enter_context(children.nginx(nginx, mock.port)))
            )
        elif "nginx" in only:
            line.absent["nginx"] = "not installed"
        if "relay" in only:
            line.targets.append(plain("relay", stack.enter_context(children.relay(mock.port))))
        if "suite" in only:
            line.targets.append(stack.enter_context(suite_target.started(mock.port, _say)))
    except (children.NotStartedError, Fault) as failure:
        line.faults.append(str(failure))
    return line


def place(targets: list[Target]) -> str:
    """Gives the gateways one core and everything else another; says so, or why not."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return "nothing pinned: there is only one core"
    gateway, other = cores[0], cores[1]
    process_times.pin(os.getpid(), other)
    for target in targets:
        for process in target.processes:
            ours = target.name != DIRECT and process.kind is Kind.GATEWAY
            process_times.pin(process.pid, gateway if ours else other)
    return (
        "each gateway on one core, all of Tollgate's processes together; load, mock, PostgreSQL "
        "and Redis on another"
    )


def _result(line: Line, outcome: Outcome, chosen: Plan, placement: str) -> dict[str, Any]:
    loads = outcome.medians()
    return {
        "at": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),  # noqa: TID251 (a report)
        "commit": _commit(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": _python()},
        "placement": placement,
        "plan": {"rounds": chosen.rounds, **asdict(chosen.spans)},
        "targets": {
            target.name: {
                "loads": loads[target.name],
                "idle_ms_per_s": outcome.idle[target.name],
                "rss_mb": _resident(target),
                "engines": [one.name for one in target.processes if one.kind is Kind.ENGINE],
            }
            for target in line.targets
            if target.name in loads
        },
        "absent": line.absent,
        "faults": line.faults + outcome.faults,
    }


def _resident(target: Target) -> dict[str, float]:
    each = {}
    for one in target.processes:
        with contextlib.suppress(process_times.ProcessGoneError):
            each[one.name] = process_times.resident_mb(one.pid)
    return {**each, "together": sum(each.values())}


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ("git", "-C", str(_REPOSITORY), *arguments)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit} with changes" if git("status", "--porcelain") else commit


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _python() -> str:
    """The version, and how fast it is here.

    Interpreters of one version differ by a third with how they were compiled, which no setting
    of theirs tells reliably: a yardstick does.
    """
    steps = "value = 0\nfor step in range(1_000_000): value = value + step & 1023"
    best_ms = min(timeit.repeat(steps, number=1, repeat=5)) * 1e3
    version = f"Python {platform.python_version()} ({platform.python_compiler()})"
    return f"{version}, a million steps of a plain loop in {best_ms:.0f} ms"


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
