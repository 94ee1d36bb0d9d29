import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.clock import DAY, SECOND, iso, now, parse_iso
from tests.cast import NOW


def test_now_is_the_time_in_microseconds() -> None:
    assert abs(now() - time.time() * SECOND) < 5 * SECOND


def test_a_time_is_written_in_seconds_with_a_z() -> None:
    assert iso(NOW + 999_999) == "2026-11-24T16:12:50Z"
    assert iso(0) == "1970-01-01T00:00:00Z"
    assert iso(-1) == "1969-12-31T23:59:59Z"


def test_a_time_that_no_calendar_has_is_its_last_or_first() -> None:
    assert iso(10_000_000 * 365 * DAY) == "9999-12-31T23:59:59Z"
    assert iso(-(2**63)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text", ["2026-11-24T16:12:50Z", "2026-11-24T17:12:50+01:00", "2026-11-24T11:12:50.000-05:00", "20261124T161250Z"]
)
def test_a_time_with_an_offset_is_read(text: str) -> None:
    assert parse_iso(text) == NOW


@pytest.mark.parametrize("text", ["", "2026-11-24", "2026-11-24T16:12:50", "2026-13-24T16:12:50Z", "now", "\0", "1"])
def test_what_is_no_moment_is_none(text: str) -> None:
    assert parse_iso(text) is None


@given(st.text())
def test_no_text_is_an_error(text: str) -> None:
    assert parse_iso(text) is None or isinstance(parse_iso(text), int)


@given(st.integers(-(2**63), 2**63))
def test_every_time_can_be_written_and_those_of_the_calendar_read_again(at: int) -> None:
    read = parse_iso(iso(at))
    assert read is not None
    assert abs(at) > 250_000_000_000 * SECOND // 10 or at - SECOND < read <= at
