"""Replies as Laravel shapes them, which the merchant API is known by: faults and pages (its versions 10 and 11)."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from carryout.errors import CarryoutError, Kind

PAGE_SIZE: Final = 25
MAX_PER_PAGE: Final = 100
MAX_LIMIT: Final = 1000
MAX_INTEGER: Final = 2**63 - 1

_MAX_PAGE: Final = 10**9
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_EACH_SIDE: Final = 3


class Invalid(CarryoutError):
    """The given data was invalid."""

    kind = Kind.INVALID

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        self.errors = {name: list(messages) for name, messages in errors.items()}
        super().__init__()

    @property
    def message(self) -> str:
        """The first fault, and how many more there are."""
        first, *others = [message for messages in self.errors.values() for message in messages]
        if not others:
            return first
        return f"{first} (and {len(others)} more error{'s' if len(others) > 1 else ''})"


def json_response(value: object, status: int = 200) -> Response:
    """A reply that nothing may keep."""
    return Response(msgspec.json.encode(value), status, _HEADERS, media_type="application/json")


def no_content() -> Response:
    """204."""
    return Response(status_code=204, headers=_HEADERS)


def leading_number(text: str | None) -> int | None:
    """The number that a text begins with, or None: `1000?` is 1000."""
    digits = re.match(r"\s*([0-9]{1,18})", text or "")
    return int(digits[1]) if digits else None


def is_on(text: str | None) -> bool:
    """Whether a parameter such as `with_assets` is switched on."""
    return (text or "").strip().lower() in ("1", "true", "on", "yes")


# ── pages of a list


@dataclass(frozen=True)
class Paging:
    """Which page is asked for. `after` is where the page before it ended: its last row's sort key, else None.

    `total` is what the page before it said of the whole list, so that whoever follows `links.next` costs no more on
    page 1,000 than on page 1.
    """

    number: int
    size_rows: int
    after: tuple[int, ...] | None
    total: int | None
    path: str
    parameters: Mapping[str, str]

    @property
    def skipped(self) -> int:
        """How many rows come before this page; none are counted where `after` is known."""
        return (self.number - 1) * self.size_rows

    @property
    def offset(self) -> int:
        """How many rows to skip in the statement."""
        return 0 if self.after is not None else self.skipped

    @property
    def rows(self) -> int:
        """How many rows to ask for: one more than the page holds tells whether there is another."""
        return self.size_rows + 1


def read_paging(request: Request, base_url: str) -> Paging:
    """The page that `page`, `per_page` or `limit`, and the cursor of a `links.next` ask for; nothing is refused."""
    query = dict(request.query_params.multi_items())  # the last of several counts, as in PHP
    number = min(max(leading_number(query.get("page")) or 1, 1), _MAX_PAGE)
    size_rows = min(leading_number(query.get("per_page")) or 0, MAX_PER_PAGE) or min(
        leading_number(query.get("limit")) or PAGE_SIZE, MAX_LIMIT
    )
    cursor = _read_cursor(query.pop("cursor", ""))
    after = total = None
    if cursor is not None and cursor[0] == number and cursor[1] == size_rows:
        total, after = cursor[2], tuple(cursor[3:])
    query.pop("page", None)
    return Paging(number, size_rows, after, total, f"{base_url}{request.url.path}", query)


def page_of(
    paging: Paging, rows: Sequence[Any], total: int, last_key: tuple[int, ...] | None, *, has_more: bool
) -> dict[str, Any]:
    """Laravel's document of one page. `rows` are as they are shown, `last_key` is the sort key of the last one."""
    first = paging.skipped + 1
    total = max(total, paging.skipped + len(rows) + has_more if rows else 0)
    last_page = max(-(-total // paging.size_rows), 1)
    following = _url(paging, paging.number + 1) if has_more else None
    if following and last_key is not None:
        cursor = _write_cursor((paging.number + 1, paging.size_rows, total, *last_key))
        following = f"{following}&cursor={cursor}"
    previous = _url(paging, paging.number - 1) if paging.number > 1 else None
    return {
        "data": rows,
        "links": {"first": _url(paging, 1), "last": _url(paging, last_page), "prev": previous, "next": following},
        "meta": {
            "current_page": paging.number,
            "from": first if rows else None,
            "last_page": last_page,
            "links": _numbered(paging, last_page, previous, following),
            "path": paging.path,
            "per_page": paging.size_rows,
            "to": first + len(rows) - 1 if rows else None,
            "total": total,
        },
    }


def _numbered(paging: Paging, last_page: int, previous: str | None, following: str | None) -> list[dict[str, Any]]:
    links: list[dict[str, Any]] = [{"url": previous, "label": "&laquo; Previous", "active": False}]
    for number in _window(paging.number, last_page):
        if number is None:
            links.append({"url": None, "label": "...", "active": False})
        else:
            is_active = number == paging.number
            links.append({"url": _url(paging, number), "label": str(number), "active": is_active})
    return [*links, {"url": following, "label": "Next &raquo;", "active": False}]


def _window(number: int, last_page: int) -> list[int | None]:
    """The page numbers that are shown; None stands for a gap (Laravel's `UrlWindow`)."""
    window = _EACH_SIDE + 4
    if last_page < _EACH_SIDE * 2 + 8:
        return list(range(1, last_page + 1))
    start, finish = [1, 2], [last_page - 1, last_page]
    if number <= window:
        return [*range(1, window + _EACH_SIDE + 1), None, *finish]
    if number > last_page - window:
        return [*start, None, *range(last_page - window - _EACH_SIDE + 1, last_page + 1)]
    return [*start, None, *range(number - _EACH_SIDE, number + _EACH_SIDE + 1), None, *finish]


def _url(paging: Paging, number: int) -> str:
    return f"{paging.path}?{urlencode({**paging.parameters, 'page': number})}"


def _write_cursor(parts: tuple[int, ...]) -> str:
    return urlsafe_b64encode(",".join(map(str, parts)).encode()).decode().rstrip("=")


def _read_cursor(text: str) -> list[int] | None:
    """The numbers of a cursor, or None where it is none of ours."""
    try:
        parts = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode("ascii").split(",")
    except ValueError:
        return None
    if len(parts) < 4 or not all(_INTEGER.fullmatch(part) for part in parts):  # noqa: PLR2004 - page, size, total, key
        return None
    numbers = [int(part) for part in parts]
    return numbers if all(abs(number) <= MAX_INTEGER for number in numbers) else None
