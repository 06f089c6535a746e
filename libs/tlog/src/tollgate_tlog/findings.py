"""What a verification found: faults that break the evidence, and observations that do not.

Promises: every fault and observation is counted; of each kind the first few are kept in full, so
that a report of a ruined log stays readable and bounded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

KEPT_PER_KIND = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault or observation: a fixed kind, where it is, and what it means to a person."""

    kind: str
    where: str
    message: str


@dataclass(slots=True)
class Found:
    """Findings of one weight."""

    kept: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, where: str, message: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= KEPT_PER_KIND:
            self.kept.append(Finding(kind, where, message))

    @property
    def total(self) -> int:
        return self.counts.total()


@dataclass(slots=True)
class Report:
    """The result of one run."""

    faults: Found = field(default_factory=Found)
    observations: Found = field(default_factory=Found)
    facts: dict[str, int | str] = field(default_factory=dict)
    charged_nano_usd: dict[str, int] = field(default_factory=dict)

    def make_faults(self, kind: str) -> None:
        """Count observations of this kind as faults."""
        count = self.observations.counts.pop(kind, 0)
        if count:
            self.faults.counts[kind] += count
            self.faults.kept += [found for found in self.observations.kept if found.kind == kind]
            self.observations.kept = [f for f in self.observations.kept if f.kind != kind]
