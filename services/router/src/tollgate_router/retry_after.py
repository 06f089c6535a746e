"""When an upstream wants to be asked again: retry-after and retry-after-ms, read strictly."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

# A longer wait is of no use to anybody in flight: one day.
WAIT_MS_MAX = 86_400_000
_DIGITS = re.compile(r"\d{1,9}")


def milliseconds(headers: Mapping[str, str], *, now_unix_ms: int) -> int | None:
    """The wait that the headers ask for; None when they ask for none that can be read."""
    exact = headers.get("retry-after-ms", "")
    if _DIGITS.fullmatch(exact):
        return min(int(exact), WAIT_MS_MAX)
    text = headers.get("retry-after", "")
    if _DIGITS.fullmatch(text):
        return min(int(text) * 1000, WAIT_MS_MAX)
    if not text:
        return None
    try:
        when_ms = round(parsedate_to_datetime(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return min(max(when_ms - now_unix_ms, 0), WAIT_MS_MAX)
