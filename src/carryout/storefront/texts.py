"""What the buyer's page says in each language: words, numbers, sizes and times. A store's own texts come before these.

The words are data (`languages/*.toml`). English has no refusals of its own there: those are the defaults of every face.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

DEFAULT: Final = "en"
_CODES: Final = ("en", "de", "fr", "es", "ja")
_NBSP: Final = "\u00a0"
_STEP: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUALITY: Final = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_MOST_RANGES: Final = 50


class Language(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language of the page; `grouped_from` is how many digits a number has before its thousands are set apart."""

    code: str
    name: str
    months: tuple[str, ...]
    moment: str
    units: tuple[str, ...]
    decimal: str
    grouping: str
    grouped_from: int
    words: dict[str, str]
    refusals: dict[str, str] = {}

    def say(self, key: str, **facts: str) -> str:
        """A sentence of the page with its facts."""
        return self.words[key].format(**facts)

    def number(self, number: int) -> str:
        """A whole number with its thousands set apart: `1,234`, `1.234`."""
        digits = str(number)
        return f"{number:,}".replace(",", self.grouping) if len(digits) >= self.grouped_from else digits

    def size(self, size_bytes: int) -> str:
        """A size in decimal units with at most one decimal: `1.5 MB`, `1,5 Mo`."""
        scale, unit = 1, 0
        while (tenths := (size_bytes * 10 + scale // 2) // scale) >= _STEP * 10 and unit < len(self.units) - 1:
            scale, unit = scale * _STEP, unit + 1
        whole, tenth = divmod(tenths, 10)
        fraction = f"{self.decimal}{tenth}" if tenth else ""
        return f"{self.number(whole)}{fraction}{_NBSP}{self.units[unit]}"

    def uses(self, used: int, limit: int | None) -> str:
        """How many of the downloads are left; a limit of None is none."""
        if limit is None:
            return self.say("unlimited")
        key = "left_of_one" if limit == 1 else "left"
        return self.say(key, left=self.number(max(0, limit - used)), limit=self.number(limit))

    def time(self, at: int, timezone: str) -> str | None:
        """A time (microseconds UTC) as the clocks of a time zone show it, to the minute; None beyond the calendar."""
        try:
            moment = (_EPOCH + timedelta(microseconds=at)).astimezone(_zone(timezone))
        except OverflowError:
            return None
        return self.moment.format(
            day=moment.day,
            month=self.months[moment.month - 1],
            year=moment.year,
            time=f"{moment:%H:%M}",
            zone=_zone_name(moment),
        )


def choose(wanted: str | None, accepted: str, locale: str | None) -> Language:
    """The language of a page: the one asked for, else the browser's, else the order's, else English.

    `accepted` is an Accept-Language field (RFC 9110, section 12.5.4); what we do not speak is passed over.
    """
    for tag in (wanted or "", *_by_preference(accepted), locale or ""):
        if found := LANGUAGES.get(_primary(tag)):
            return found
    return LANGUAGES[DEFAULT]


def _by_preference(accepted: str) -> list[str]:
    ranges = [part.partition(";") for part in accepted.split(",")[:_MOST_RANGES]]
    weighed = [(tag, _quality(parameters)) for tag, _, parameters in ranges]
    return [tag for tag, quality in sorted(weighed, key=lambda each: -each[1]) if quality > 0]


def _quality(parameters: str) -> float:
    if not parameters.strip():
        return 1.0
    found = _QUALITY.fullmatch(parameters.strip())
    return float(found[1]) if found else 0.0


def _primary(tag: str) -> str:
    return tag.strip().lower().replace("_", "-").partition("-")[0]


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):  # known where it was set, but not on this machine
        return UTC


def _zone_name(moment: datetime) -> str:
    """`CET`, `UTC`; zones without a name of their own say how far they are from UTC."""
    name = moment.tzname() or "UTC"
    return name if name.isalpha() else f"UTC{name}"


def _read(code: str) -> Language:
    text = (Path(__file__).parent / "languages" / f"{code}.toml").read_text(encoding="utf-8")
    return msgspec.convert({"code": code, **tomllib.loads(text)}, Language)


LANGUAGES: Final[Mapping[str, Language]] = {code: _read(code) for code in _CODES}
