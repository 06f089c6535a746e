"""Calendar months in UTC: the windows that limits are of. Pure."""

from datetime import UTC, datetime
from typing import NewType

Month = NewType("Month", int)  # year * 100 + month: 202611


def month_of(unix_ms: int) -> Month:
    """The month of an instant."""
    day = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return Month(day.year * 100 + day.month)


def month_start_ms(month: Month) -> int:
    """The first instant of a month."""
    return int(datetime(month // 100, month % 100, 1, tzinfo=UTC).timestamp()) * 1000
