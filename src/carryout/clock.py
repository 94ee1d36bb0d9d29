"""The one clock. Rules never read it: `now` is handed to them. Times are microseconds since 1970, UTC."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], int]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def now() -> int:
    """The time in microseconds UTC."""
    return time.time_ns() // 1000


def iso(at: int) -> str:
    """A time as ISO 8601 with a Z: `2026-11-24T16:12:50Z`; fractions of a second are left out.

    Beyond the years 1 to 9999, which ISO 8601 cannot write, it is their first or last second.
    """
    moment = _EPOCH + timedelta(microseconds=min(max(at, _FIRST), _LAST))
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_iso(text: str) -> int | None:
    """Microseconds of an ISO 8601 text with an offset or a Z, or None when it is no such time."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        return (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
