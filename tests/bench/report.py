"""The figures as Markdown, and their place in docs/performance.md.

Promises: every number in the tables was measured by the run that wrote them; what was not
measured is a dash.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.target import DIRECT, SUITE

BEGIN = "<!-- bench:begin, written by `python -m tests.bench.run --write-docs` -->"
END = "<!-- bench:end -->"
_NONE = "–"
# Of unrelated programs, in cores: above it a figure is not to be trusted to 10 %.
_NOISE_CORES = 0.08
_CALL, _STREAM, _PACED = "chat call c={}", "chat stream c={}", "chat paced stream c={}"


@dataclass(frozen=True)
class Bound:
    """A CPU time to stay under, and the gateway that has to be beaten."""

    what: str
    load: str
    target_ms: float
    portkey_ms: float


BOUNDS = (
    Bound("call", _CALL.format(64), 0.5, 0.75),
    Bound("stream", _STREAM.format(64), 0.8, 1.1),
)


def markdown(result: dict[str, Any]) -> str:
    """All of it: conditions, targets, CPU by process, verdict."""
    parts = [
        _conditions(result),
        "### Side by side",
        _table(_SIDE_HEAD, _side_rows(result)),
        "### Tollgate's CPU by process",
        _processes(result),
        "### Against the target",
        _verdict(result),
    ]
    if result["faults"]:
        parts += ["### What went wrong", "\n".join(f"- {_flat(text)}" for text in result["faults"])]
    return "\n\n".join(parts) + "\n"


def write_docs(page: Path, text: str) -> None:
    """Puts the text between the page's markers. Raises ValueError if there are none."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} has no place for the figures: {BEGIN} … {END}")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")


# ---- tables --------------------------------------------------------------------------------------

_SIDE_HEAD = (
    "target",
    "calls/s c=64 (cores)",
    "CPU ms/call c=1 / 16 / 64",
    "p50 / p99 added ms c=1",
    "c=16",
    "c=64",
    "streams/s c=16 / 64",
    "CPU ms/stream c=16 / 64",
    "first chunk p50 / p99 ms, bursty c=16 · c=64",
    "paced c=16 · c=64",
    "RSS MB",
)


def _side_rows(result: dict[str, Any]) -> list[list[str]]:
    return [_side_row(result, name) for name in result["targets"]] + [
        [f"{name}: {why}", *[_NONE] * (len(_SIDE_HEAD) - 1)]
        for name, why in result["absent"].items()
    ]


def _side_row(result: dict[str, Any], name: str) -> list[str]:
    loads = result["targets"][name]["loads"]
    busiest = loads.get(_CALL.format(64), {})
    rate = f"{_count(busiest.get('per_second'))} ({_ms(busiest.get('gateway_cores'))})"
    return [
        name,
        rate if busiest else _NONE,
        _series(loads, _CALL, (1, 16, 64), "gateway_cpu_ms", _ms),
        *(_added(result, name, _CALL.format(concurrency)) for concurrency in (1, 16, 64)),
        _series(loads, _STREAM, (16, 64), "per_second", _count),
        _series(loads, _STREAM, (16, 64), "gateway_cpu_ms", _ms),
        _first_chunks(loads, _STREAM),
        _first_chunks(loads, _PACED),
        _count(result["targets"][name]["rss_mb"].get("together")),
    ]


def _series(
    loads: dict[str, Any], pattern: str, concurrencies: Sequence[int], field: str, form: Any
) -> str:
    values = (loads.get(pattern.format(c), {}).get(field) for c in concurrencies)
    return " / ".join(form(value) for value in values)


def _added(result: dict[str, Any], name: str, load: str) -> str:
    """What a target adds to calling the mock at the same concurrency."""
    direct = result["targets"].get(DIRECT, {"loads": {}})["loads"].get(load)
    own = result["targets"][name]["loads"].get(load)
    if not direct or not own:
        return _NONE
    if name == DIRECT:
        return f"({_ms(own['p50_ms'])} / {_ms(own['p99_ms'])})"
    return " / ".join(_ms(own[field] - direct[field]) for field in ("p50_ms", "p99_ms"))


def _first_chunks(loads: dict[str, Any], pattern: str) -> str:
    fields = ("first_chunk_p50_ms", "first_chunk_p99_ms")
    return " · ".join(
        " / ".join(_ms(loads.get(pattern.format(c), {}).get(field)) for field in fields)
        for c in (16, 64)
    )


def _processes(result: dict[str, Any]) -> str:
    measured = result["targets"].get(SUITE)
    if not measured:
        return "The suite was not measured in this run."
    columns = [
        *(_CALL.format(c) for c in (1, 16, 64)),
        *(_STREAM.format(c) for c in (16, 64)),
        _PACED.format(64),
        *(load for load in measured["loads"] if load.startswith(("messages", "crossed"))),
    ]
    loads = [measured["loads"].get(column, {}) for column in columns]
    engines = measured["engines"]
    rows = [
        _process_row(name, measured, loads)
        for name in sorted(measured["idle_ms_per_s"], key=lambda name: (name in engines, name))
    ]
    rows.append(_sum_row("**Tollgate together**", measured, loads, ("gateway_cpu_ms",)))
    both = ("gateway_cpu_ms", "engine_cpu_ms")
    rows.append(_sum_row("with PostgreSQL and Redis", measured, loads, both))
    head = ("process", "idle, ms/s", *(f"{column}, ms" for column in columns), "RSS MB")
    return _table(head, rows)


def _process_row(name: str, measured: dict[str, Any], loads: list[dict[str, Any]]) -> list[str]:
    return [
        name,
        _ms(measured["idle_ms_per_s"].get(name)),
        *(_ms(load.get("cpu_ms", {}).get(name)) for load in loads),
        _count(measured["rss_mb"].get(name)),
    ]


def _sum_row(
    label: str, measured: dict[str, Any], loads: list[dict[str, Any]], fields: Sequence[str]
) -> list[str]:
    engines = set() if len(fields) > 1 else set(measured["engines"])
    names = [name for name in measured["idle_ms_per_s"] if name not in engines]
    sums = [sum(load[field] for field in fields) if load else None for load in loads]
    return [
        label,
        _ms(sum(measured["idle_ms_per_s"][name] for name in names)),
        *(_ms(value) for value in sums),
        _count(sum(measured["rss_mb"].get(name, 0) for name in names)),
    ]


def _verdict(result: dict[str, Any]) -> str:
    loads = result["targets"].get(SUITE, {"loads": {}})["loads"]
    rows = []
    for bound in BOUNDS:
        spent = loads.get(bound.load, {}).get("gateway_cpu_ms")
        verdicts = [
            _NONE if spent is None else "yes" if spent <= limit else "no"
            for limit in (bound.target_ms, bound.portkey_ms)
        ]
        rows.append([f"CPU ms a {bound.what}, c=64", _ms(spent), *verdicts])
    head = ("", "measured", "≤ target (0.5 / 0.8)", "≤ Portkey (0.75 / 1.1)")
    return _table(head, rows)


def _conditions(result: dict[str, Any]) -> str:
    plan = result["plan"]
    noise = max(
        (
            load["foreign_cores"]
            for one in result["targets"].values()
            for load in one["loads"].values()
        ),
        default=0.0,
    )
    lines = [
        _run_line(result),
        f"Medians of {plan['rounds']} rounds of {plan['timed_s']:g} s; {result['placement']}.",
    ]
    if noise > _NOISE_CORES:
        lines.append(
            f"**Other programs used up to {noise:.2f} of a core meanwhile: measure again on a "
            "quiet machine.**"
        )
    return "\n".join(lines)


def _run_line(result: dict[str, Any]) -> str:
    machine = result["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores; {machine['python']}"
    return f"{result['at']}, commit {result['commit']}; {where}."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _ms(value: float | None) -> str:
    return _NONE if value is None else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _flat(text: str) -> str:
    return " ".join(text.split())
