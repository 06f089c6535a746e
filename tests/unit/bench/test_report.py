from pathlib import Path
from typing import Any

import pytest

from tests.bench import report
from tests.bench.target import DIRECT, SUITE

RUN = {
    "at": "2026-01-01 00:00 UTC",
    "commit": "abc",
    "machine": {"cpu": "cpu", "cores": 2, "python": "Python 3"},
    "placement": "pinned",
    "plan": {"rounds": 3, "warm_s": 0.1, "timed_s": 1.0},
    "absent": {"nginx": "not installed"},
    "faults": [],
}


def load(p50_ms: float, cpu_ms: dict[str, float], engine_ms: float = 0.0) -> dict[str, Any]:
    return {
        "per_second": 1000.0,
        "p50_ms": p50_ms,
        "p99_ms": p50_ms * 2,
        "gateway_cpu_ms": sum(cpu_ms.values()) - engine_ms,
        "engine_cpu_ms": engine_ms,
        "gateway_cores": 1.0,
        "foreign_cores": 0.01,
        "cpu_ms": cpu_ms,
    }


def target(loads: dict[str, Any], idle: dict[str, float], engines: list[str]) -> dict[str, Any]:
    rss = {**dict.fromkeys(idle, 50.0), "together": 50.0 * len(idle)}
    return {"loads": loads, "idle_ms_per_s": idle, "rss_mb": rss, "engines": engines}


def run() -> dict[str, Any]:
    cpu = {"edge-api": 0.4, "budget": 0.2, "postgres": 0.3}
    suite = target({"chat call c=64": load(3.5, cpu, 0.3)}, dict.fromkeys(cpu, 1.0), ["postgres"])
    mock = target({"chat call c=64": load(1.0, {DIRECT: 0.1})}, {DIRECT: 0.0}, [])
    return {**RUN, "targets": {DIRECT: mock, SUITE: suite}}


def test_engines_stand_apart_from_tollgate() -> None:
    """PostgreSQL's time is shown and summed, but is not Tollgate's own."""
    text = report.markdown(run())
    together = next(line for line in text.splitlines() if "Tollgate together" in line)
    everything = next(line for line in text.splitlines() if "with PostgreSQL" in line)
    assert " 0.600 " in together
    assert " 0.900 " in everything


def test_latency_is_what_is_added_to_the_mock() -> None:
    """The mock's own latency at the same concurrency is taken off."""
    line = next(
        line for line in report.markdown(run()).splitlines() if line.startswith("| tollgate |")
    )
    assert " 2.50 / 5.00 " in line


def test_a_missed_target_is_said() -> None:
    """0.6 ms a call is over the target and under Portkey's; what was not measured is a dash."""
    lines = report.markdown(run()).splitlines()
    assert "| CPU ms a call, c=64 | 0.600 | no | yes |" in lines
    assert "| CPU ms a stream, c=64 | – | – | – |" in lines


def test_absence_and_faults_are_said() -> None:
    """A target that did not take part has a row that says why; so has a wrong answer."""
    text = report.markdown({**run(), "faults": ["relay: status 500"]})
    assert "| nginx: not installed |" in text
    assert "- relay: status 500" in text


def test_a_noisy_machine_is_said() -> None:
    """Figures that were taken beside another program's work carry the warning."""
    noisy = run()
    noisy["targets"][DIRECT]["loads"]["chat call c=64"]["foreign_cores"] = 0.5
    assert "measure again" in report.markdown(noisy)
    assert "measure again" not in report.markdown(run())


def test_figures_replace_figures(tmp_path: Path) -> None:
    """Written twice, the page holds the second run only, and all of the text around it."""
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write_docs(page, "first")
    report.write_docs(page, "second")
    assert f"before\n{report.BEGIN}\n\nsecond\n{report.END}\nafter\n" == page.read_text("utf-8")


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    """Without the markers nothing is written."""
    page = tmp_path / "performance.md"
    page.write_text("text\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no place"):
        report.write_docs(page, "figures")
    assert "text\n" == page.read_text("utf-8")
