"""What a request for a file is answered: preconditions and ranges (RFC 9110, sections 13 and 14).

An interval (`Span`) is `(start, end)` in bytes of the file, `end` exclusive.
"""

import calendar
import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

import msgspec

from carryout.sessions.model import Span

# More is never a reader but an attempt to make a small request costly (RFC 9110, section 14.2 lets us ignore it).
MAX_RANGES: Final = 16

# `int` is quadratic, so a number has an end: one of more digits is no number to us.
_SPEC: Final = re.compile(r"(?=-?[0-9])([0-9]{0,99})-([0-9]{0,99})")
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CENTURY: Final = 100
_FIRST_OF_1900S: Final = 69  # of years in two digits, as POSIX reads them
_DAY: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY: Final = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME: Final = "(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
# RFC 9110, section 5.6.7: the fixed form, and the two that recipients must still understand.
_DATES: Final = (
    re.compile(f"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(f"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(f"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


class Whole(msgspec.Struct, frozen=True):
    """200: all of it."""

    size_bytes: int


class OneRange(msgspec.Struct, frozen=True):
    """206: one interval of a file of `size_bytes`."""

    start: int
    end: int
    size_bytes: int


class SeveralRanges(msgspec.Struct, frozen=True):
    """206 as `multipart/byteranges`: intervals in the order asked for; they may overlap."""

    intervals: tuple[Span, ...]
    size_bytes: int


class Unsatisfiable(msgspec.Struct, frozen=True):
    """416: no range lies within the file."""

    size_bytes: int


class NotModified(msgspec.Struct, frozen=True):
    """304: the client has these very bytes."""


class PreconditionFailed(msgspec.Struct, frozen=True):
    """412: the client goes on with a file that is no longer this one."""


Decision = Whole | OneRange | SeveralRanges | Unsatisfiable | NotModified | PreconditionFailed


class BodyPart(msgspec.Struct, frozen=True):
    """One range in a multipart body: its own header, then the bytes of the file."""

    prefix: bytes
    start: int
    end: int


class Multipart(msgspec.Struct, frozen=True):
    """A body of several ranges; `closing` follows the last part, `length_bytes` is its exact Content-Length."""

    parts: tuple[BodyPart, ...]
    closing: bytes
    length_bytes: int
    content_type: str


def decide(
    method: str, headers: Iterable[tuple[bytes, bytes]], etag: str, last_modified_seconds: int, size_bytes: int
) -> Decision:
    """What the request gets, in the order of RFC 9110, section 13.2.2.

    `etag` is strong and quoted, the time is in seconds since 1970. The bytes behind one address must never change: then
    the time is a strong validator, too, and `If-Range` may carry it. Ranges are for GET alone: HEAD is answered as a
    GET without them (section 14.2). What is malformed is ignored; so is every range of a file of zero bytes, which is
    whole in its answer, and a set of ranges that would send more than the file.
    """
    fields = _fields(headers)
    if _is_other(fields, etag, last_modified_seconds):
        return PreconditionFailed()
    if _is_known(method, fields, etag, last_modified_seconds):
        return NotModified() if method in {"GET", "HEAD"} else PreconditionFailed()
    if method == "GET" and size_bytes and _may_be_partial(fields, etag, last_modified_seconds):
        return _selected(fields["range"][0], size_bytes)
    return Whole(size_bytes)


def intervals_of(decision: Decision) -> tuple[Span, ...]:
    """The intervals of the file that the answer to a GET carries, in its order."""
    match decision:
        case Whole(size_bytes) if size_bytes:
            return ((0, size_bytes),)
        case OneRange(start, end):
            return ((start, end),)
        case SeveralRanges(intervals):
            return intervals
        case _:
            return ()


def requested_bytes(decision: Decision) -> int:
    """The bytes of the file that the answer to a GET carries; one that is asked for twice counts twice."""
    return sum(end - start for start, end in intervals_of(decision))


def content_range(decision: OneRange | Unsatisfiable) -> str:
    """The value of `Content-Range` (RFC 9110, section 14.4)."""
    if isinstance(decision, Unsatisfiable):
        return f"bytes */{decision.size_bytes}"
    return f"bytes {decision.start}-{decision.end - 1}/{decision.size_bytes}"


def multipart(decision: SeveralRanges, boundary: str, media_type: str) -> Multipart:
    """The body of several ranges (RFC 9110, section 14.6); `boundary` is random, so that no file contains it."""
    # A line break before the first boundary is allowed, and servers that have long been around send one.
    parts = tuple(
        BodyPart(
            f"\r\n--{boundary}\r\n"
            f"Content-Type: {media_type}\r\n"
            f"Content-Range: {content_range(OneRange(start, end, decision.size_bytes))}\r\n\r\n".encode("latin-1"),
            start,
            end,
        )
        for start, end in decision.intervals
    )
    closing = f"\r\n--{boundary}--\r\n".encode("latin-1")
    length_bytes = requested_bytes(decision) + len(closing) + sum(len(part.prefix) for part in parts)
    return Multipart(parts, closing, length_bytes, f"multipart/byteranges; boundary={boundary}")


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for name, value in headers:
        fields.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip(" \t"))
    return fields


def _is_other(fields: dict[str, list[str]], etag: str, last_modified_seconds: int) -> bool:
    """Whether `If-Match`, or else `If-Unmodified-Since`, is about another file than this one."""
    if "if-match" in fields:
        return fields["if-match"] != ["*"] and etag not in _tags(fields["if-match"])
    since = _date(fields.get("if-unmodified-since"))
    return since is not None and last_modified_seconds > since


def _is_known(method: str, fields: dict[str, list[str]], etag: str, last_modified_seconds: int) -> bool:
    """Whether `If-None-Match`, or else `If-Modified-Since`, says that the client has this file."""
    if "if-none-match" in fields:
        known = {tag.removeprefix("W/") for tag in _tags(fields["if-none-match"])}
        return fields["if-none-match"] == ["*"] or etag in known
    since = _date(fields.get("if-modified-since"))
    return since is not None and method in {"GET", "HEAD"} and last_modified_seconds <= since


def _may_be_partial(fields: dict[str, list[str]], etag: str, last_modified_seconds: int) -> bool:
    """Whether there is one `Range`, and `If-Range`, where there is one, is about this file. A weak tag never is."""
    if len(fields.get("range", ())) != 1:
        return False
    condition = fields.get("if-range")
    return condition is None or condition == [etag] or _date(condition) == last_modified_seconds


def _tags(values: Sequence[str]) -> list[str]:
    """The entity tags of a field, or nothing when it is malformed."""
    joined = ", ".join(values)
    return re.findall(_TAG, joined) if _TAGS.fullmatch(joined) else []


def _date(values: Sequence[str] | None) -> int | None:
    """Seconds of the one date in a field, or None: two of them, or what is no date, are to be ignored."""
    if values is None or len(values) != 1:
        return None
    found = next((found for form in _DATES if (found := form.fullmatch(values[0]))), None)
    if found is None:
        return None
    year, month, day = int(found["year"]), _MONTHS.index(found["month"]) + 1, int(found["day"])
    if year < _CENTURY:
        year += 1900 if year >= _FIRST_OF_1900S else 2000
    try:
        date(year, month, day)
    except ValueError:
        return None
    return calendar.timegm((year, month, day, int(found["hour"]), int(found["minute"]), int(found["second"])))


def _selected(value: str, size_bytes: int) -> Decision:
    unit, _, range_set = value.partition("=")
    specs = [spec for element in range_set.split(",") if (spec := element.strip(" \t"))]
    asked = [_interval(spec, size_bytes) for spec in specs[: MAX_RANGES + 1]]
    if unit.lower() != "bytes" or not 0 < len(asked) <= MAX_RANGES:
        return Whole(size_bytes)
    found = tuple(interval for interval in asked if interval and interval[0] < interval[1])
    if None in asked or sum(end - start for start, end in found) > size_bytes:
        return Whole(size_bytes)
    if len(found) > 1:
        return SeveralRanges(found, size_bytes)
    return OneRange(*found[0], size_bytes) if found else Unsatisfiable(size_bytes)


def _interval(spec: str, size_bytes: int) -> Span | None:
    """One range, empty where it cannot be satisfied; None when it is malformed."""
    found = _SPEC.fullmatch(spec)
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        return (max(size_bytes - int(last), 0), size_bytes)
    if not last:
        return (int(first), size_bytes)
    return (int(first), min(int(last) + 1, size_bytes)) if int(first) <= int(last) else None
