"""How close bounds are: writes the tables of docs/bounds.md from recorded bills.

    TOLLGATE_CORPUS=... python -m tests.bench.bounds

A line is a client's protocol and a family of calibrations. Calls with pictures or with thinking
that only its vendor reads stand apart: there a rule of the vendor's bounds, and no count.
"""

import re
import sys
from collections.abc import Iterable

from tests.unit.dialects import billed
from tests.unit.dialects.billed import BilledCall
from tests.unit.test_tidy import ROOT

PAGE = ROOT / "docs/bounds.md"
_BEGIN, _END = "<!-- written by tests/bench/bounds.py -->", "<!-- end -->"
_HEAD = (
    "| client's protocol | calibration | script | calls | bytes / billed: median, p95 "
    "| close / billed: median, p95, least | from 200 tokens: calls, median, p95 |\n"
    "|---|---|---|---|---|---|---|\n"
)


def table(found: Iterable[BilledCall]) -> str:
    """A line for each protocol, calibration and script."""
    groups: dict[tuple[str, str, str], list[BilledCall]] = {}
    for call in found:
        kind = f"{call.script}, {call.media}" if call.media else call.script
        groups.setdefault((call.protocol.value, call.word, kind), []).append(call)
    return _HEAD + "".join(_line(group, calls) for group, calls in sorted(groups.items()))


def _line(group: tuple[str, str, str], calls: list[BilledCall]) -> str:
    by_bytes = [call.byte_tokens / call.billed_tokens for call in calls if call.byte_tokens]
    close = [call.close_tokens / call.billed_tokens for call in calls]
    large = [ratio for ratio, call in zip(close, calls, strict=True) if call.billed_tokens >= 200]
    cells = (
        *group,
        str(len(calls)),
        _shown(by_bytes),
        f"{_shown(close)}, {min(close):.2f}",
        f"{len(large)}, {_shown(large)}" if large else "–",
    )
    return f"| {' | '.join(cells)} |\n"


def _shown(ratios: list[float]) -> str:
    if not ratios:
        return "–"
    return f"{billed.percentile(ratios, 50):.2f}, {billed.percentile(ratios, 95):.2f}"


def page(text: str) -> str:
    """The document with the table as it is now."""
    block = f"{_BEGIN}\n{table(billed.calls())}{_END}"
    return re.sub(f"{_BEGIN}.*{_END}", lambda _: block, text, flags=re.DOTALL)


if __name__ == "__main__":
    written = page(PAGE.read_text())
    PAGE.write_text(written)
    sys.stdout.write(written)
