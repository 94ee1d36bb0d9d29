"""Tolerant reading: bytes to JSON, and fields to values that both databases can hold.

Nothing here raises on a payload but `NotJson`: what is missing or odd is noted and left out. A note names the field and
what is odd about it, never the value, which may be personal.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

MAX_ID: Final = 2**63 - 1
MAX_QUANTITY: Final = 1_000_000
MAX_NOTES: Final = 20

_NAME_CHARS: Final = 1000
_MAX_DIGITS: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_GID: Final = re.compile(r"gid://shopify/[A-Za-z]+/([0-9]{1,19})(?:\?.*)?")


class NotJson(ValueError):
    """The bytes are not JSON in UTF-8 (RFC 8259)."""


class TooDeep(Exception):
    """The JSON is nested more deeply than can be read."""


def parse(raw: bytes) -> object:
    """The JSON value of a body: of duplicate keys the last, lone surrogates kept. Errors: `NotJson`, `TooDeep`."""
    try:
        decoded: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _parse_patiently(raw)
    return decoded


def _parse_patiently(raw: bytes) -> object:
    """As `parse`, with the standard library, which takes what msgspec refuses: lone surrogates and vast numbers."""
    try:
        decoded: object = json.loads(raw.decode("utf-8-sig"), parse_int=_parse_int, parse_constant=_refuse_constant)
    except RecursionError:
        raise TooDeep from None
    except ValueError:
        raise NotJson from None
    return decoded


def _parse_int(text: str) -> int | float:
    # Python refuses to convert thousands of digits; as a float it is merely odd.
    return int(text) if len(text) <= _MAX_DIGITS else float(text)


def _refuse_constant(name: str) -> None:
    raise NotJson(name)


def clean(text: str, limit_chars: int = _NAME_CHARS) -> str:
    """The text as PostgreSQL takes it: without NUL, lone surrogates replaced, at most `limit_chars` long."""
    if "\0" in text:
        text = text.replace("\0", "")
    if not text.isascii() and not text.isprintable():
        text = _SURROGATE.sub("\ufffd", text)
    return text[:limit_chars]


def parse_time(text: str) -> int | None:
    """Microseconds UTC of an ISO 8601 text with an offset, or None; nothing before 1970."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        at = (moment - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return None
    return at if at >= 0 else None


def as_id(value: object) -> int | None:
    """A Shopify id from a number, a numeric text or a GID; None when it is none, or does not fit signed 64 bits."""
    if type(value) is str:
        found = _DIGITS.fullmatch(value) or _GID.fullmatch(value)
        value = int(found[found.lastindex or 0]) if found else None
    if type(value) is int and 0 < value <= MAX_ID:
        return value
    return None


class Reader:
    """One JSON object of a payload, read field by field; what is odd goes into `notes`, shared by the whole payload."""

    __slots__ = ("_fields", "_notes", "_path")

    def __init__(self, value: object, notes: list[str], path: str = "") -> None:
        self._notes = notes
        self._path = path
        self._fields: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict) and len(notes) < MAX_NOTES:
            notes.append(f"{path.rstrip('.') or 'the body'} is not an object")

    def note(self, field: str, what: str) -> None:
        """Mark the delivery."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append(f"{self._path}{field} {what}")

    def raw(self, field: str) -> Any:
        """The value as it is; None when it is missing."""
        return self._fields.get(field)

    def has(self, field: str) -> bool:
        """Whether the field is there, be it null."""
        return field in self._fields

    def id(self, field: str = "id", gid_field: str | None = "admin_graphql_api_id") -> int | None:
        """An id that must be there, else in the GID beside it; noted when it is not a plain number."""
        value = self._fields.get(field)
        if type(value) is int and 0 < value <= MAX_ID:
            return value
        self.note(field, "is missing" if value is None else "is no 64-bit id")
        found = as_id(value)
        if found is None and gid_field is not None:
            found = as_id(self._fields.get(gid_field))
        return found

    def maybe_id(self, field: str) -> int | None:
        """An id that may be null (a custom item has no variant)."""
        return None if self._fields.get(field) is None else self.id(field, None)

    def quantity(self, field: str) -> int | None:
        """A count from 0 to `MAX_QUANTITY`; what lies outside is clamped and noted. None when it cannot be read."""
        value = self._fields.get(field)
        if type(value) is int and 0 <= value <= MAX_QUANTITY:
            return value
        if value is None:
            return None
        number = _as_whole(value)
        self.note(field, "is not a whole number" if number is None else "is odd or out of range")
        return None if number is None else min(max(number, 0), MAX_QUANTITY)

    def number(self, field: str) -> int | None:
        """A number from 0 that fits signed 64 bits."""
        value = self._fields.get(field)
        if type(value) is int and 0 <= value <= MAX_ID:
            return value
        if value is not None:
            self.note(field, "is no 64-bit number")
        return as_id(value)

    def text(self, field: str, limit_chars: int = _NAME_CHARS) -> str | None:
        """A text without surrounding space; None when it is empty, null or of another type."""
        value = self._fields.get(field)
        if value is None:
            return None
        if type(value) is not str:
            self.note(field, "is not a text")
            return None
        cleaned = clean(value, limit_chars).strip()
        if len(value) > len(cleaned) + 100:
            self.note(field, "is too long")
        return cleaned or None

    def time(self, field: str) -> int | None:
        """A time in microseconds UTC; None when it is null or cannot be read."""
        value = self._fields.get(field)
        if value is None:
            return None
        found = parse_time(value) if type(value) is str else None
        if found is None:
            self.note(field, "is no time")
        return found

    def child(self, field: str) -> "Reader":
        """The object in a field; an empty one when it is null or missing."""
        value = self._fields.get(field)
        return Reader({} if value is None else value, self._notes, f"{self._path}{field}.")

    def items(self, field: str) -> Iterator["Reader"]:
        """The objects of a list; what is no object is noted and left out."""
        for index, value in enumerate(self.list(field)):
            if isinstance(value, dict):
                yield Reader(value, self._notes, f"{self._path}{field}[{index}].")
            else:
                self.note(f"{field}[{index}]", "is not an object")

    def list(self, field: str) -> list[Any]:
        """A list; empty when it is null, and noted when it is something else."""
        value = self._fields.get(field)
        if isinstance(value, list):
            return value
        if value is not None:
            self.note(field, "is not a list")
        return []


def _as_whole(value: object) -> int | None:
    """A whole number from what is nearly one: a float without fraction, or a text of digits."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value if type(value) is int else None
