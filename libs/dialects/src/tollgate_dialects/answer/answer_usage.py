"""What a meter knows of an answer: what it produced, what its upstream reported, what it used.

Without a usable report the output is estimated at one token for each 3 bytes of text produced: high
for every language that is common, so that a cut stream is cut early rather than late. Of the input
nothing is known here.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from tollgate_dialects.answer import upstream_error
from tollgate_dialects.answer.upstream_error import UpstreamFault
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage, UsageSource

# What is odd about a report: refused counts, or far fewer output tokens than text.
Flag: TypeAlias = Literal["", "implausible", "below_output"]

_BYTES_PER_ESTIMATED_TOKEN = 3
# A report of fewer tokens than this for the text that was seen is marked, not changed.
_MAX_BYTES_PER_TOKEN = 64
_FREE_BYTES = 256
_OUTPUT: Final = Unit.OUTPUT.position


def estimated_tokens(size_bytes: int) -> int:
    """Tokens that a text of this size is taken for."""
    return -(-size_bytes // _BYTES_PER_ESTIMATED_TOKEN)


def explains(usage: Usage, size_bytes: int) -> bool:
    """Whether so many bytes of text are no more than a report of so many tokens can mean."""
    return size_bytes <= usage.counts[_OUTPUT] * _MAX_BYTES_PER_TOKEN + _FREE_BYTES


class AnswerMeter:
    """What both meters know of usage."""

    def __init__(
        self, text: re.Pattern[bytes], error_codes: Sequence[str], secrets: Sequence[str]
    ) -> None:
        """`text` finds the words of an answer, `error_codes` is where an error has its code."""
        self._text = text
        self._error_codes = error_codes
        self.secrets = tuple(secrets)
        self.reported: Usage | None = None
        self._is_output_reported = False
        self._implausible = False
        # The answer's text is complete, as far as the protocol says so before its last event.
        self.is_final = False
        # Bytes of text in all, and since the last report.
        self._produced_bytes = 0
        self._unreported_bytes = 0
        # The protocol's last event, or the whole body, was seen.
        self.finished = False
        # Set when the answer turned into an error; nothing passes from there on.
        self.error: UpstreamFault | None = None
        self.is_failure_told = False
        # The id under which the upstream keeps the whole answer; empty: it keeps none.
        self.kept_as = ""

    @property
    def produced(self) -> bool:
        """Whether any text, reasoning or tool argument was seen."""
        return self._produced_bytes > 0

    @property
    def has_final_usage(self) -> bool:
        """Whether the upstream's own report of the whole answer was seen."""
        return self.is_final and self.usage_source is UsageSource.UPSTREAM

    @property
    def usage_source(self) -> UsageSource:
        if self.reported is not None:
            complete = self._is_output_reported and not self._unreported_bytes
            return UsageSource.UPSTREAM if complete else UsageSource.PARTIAL
        if self._produced_bytes or self._implausible or (self.finished and not self.error):
            return UsageSource.ESTIMATED
        return UsageSource.NONE

    @property
    def usage(self) -> Usage:
        """What is charged: the report, completed or replaced as `usage_source` says."""
        return self.usage_of(self.usage_source)

    def usage_of(self, source: UsageSource) -> Usage:
        """The same for who has asked for `usage_source` already."""
        if source is UsageSource.NONE:
            return NOTHING
        if self.reported is None:
            return NOTHING.with_count(Unit.OUTPUT, self.output_units)
        if source is UsageSource.UPSTREAM:
            return self.reported
        return self.reported.with_count(Unit.OUTPUT, self.output_units)

    @property
    def output_units(self) -> int:
        """Output tokens so far: reported, and estimated for what was produced since."""
        unreported = estimated_tokens(self._unreported_bytes)
        if self.reported is None:
            return unreported
        if self._is_output_reported:
            return self.reported[Unit.OUTPUT] + unreported
        return max(self.reported[Unit.OUTPUT], unreported)

    @property
    def flag(self) -> Flag:
        if self._implausible:
            return "implausible"
        if self.usage_source is UsageSource.UPSTREAM and self.reported is not None:
            return "" if explains(self.reported, self._produced_bytes) else "below_output"
        return ""

    def produce(self, text: bytes) -> None:
        """Count the text in some of an answer's bytes."""
        self.grow(sum(map(len, self._text.findall(text))))

    def grow(self, size: int) -> None:
        """Count bytes of text."""
        self._produced_bytes += size
        self._unreported_bytes += size

    def report(self, usage: Usage | None, *, has_output: bool = True) -> None:
        """Take the upstream's word; None: it gave one that cannot be."""
        if usage is None:
            self._implausible = True
            self.reported = None
            self._unreported_bytes = self._produced_bytes
            return
        self._implausible = False
        self.reported = usage
        self._is_output_reported = has_output
        if has_output:
            self._unreported_bytes = 0

    def fail(self, error: object = None, *, told: bool = False) -> None:
        """End with an error. `told`: the upstream said in so many words that it failed."""
        self.is_failure_told = told
        self.error = upstream_error.in_stream(error, self._error_codes, self.secrets)
