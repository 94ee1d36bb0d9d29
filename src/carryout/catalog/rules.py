"""What names, links and limits may be, and how a size is shown."""

import re
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from carryout.catalog.model import LimitFault, StatedSize

MAX_NAME_LENGTH: Final = 255
MAX_URL_LENGTH: Final = 2048
MAX_DOWNLOADS: Final = 1_000_000_000
MAX_DAYS: Final = 36_500
MAX_ID: Final = 2**63 - 1

_UNITS: Final = ("B", "KB", "MB", "GB", "TB", "PB", "EB")
_STEP: Final = 1000
# Control characters, and the marks that turn the direction of a text: "\u202egpj.exe" would be shown as "exe.jpg".
_UNSHOWABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SEPARATOR: Final = re.compile(r"[/\\]")
_URL: Final = re.compile(r"[!-\[\]-~]+")  # printable ASCII without the backslash, which browsers read as a slash
_SIZE_TEXT: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(B|[KMGTPE]B)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"[0-9]{1,19}")
_MOST: Final = {"downloads": MAX_DOWNLOADS, "expires_days": MAX_DAYS}


def display_size(size_bytes: int) -> str:
    """A size as a buyer reads it, such as `10MB`: decimal units, at most one decimal (Fileflare API, section 1)."""
    scale, unit = 1, 0
    while (tenths := (size_bytes * 10 + scale // 2) // scale) >= _STEP * 10 and unit < len(_UNITS) - 1:
        scale, unit = scale * _STEP, unit + 1
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth}{_UNITS[unit]}" if tenth else f"{whole}{_UNITS[unit]}"


def stated_size(value: str | int) -> StatedSize | None:
    """What somebody says of a size: bytes, or words such as `10MB` or `unknown`; None where it can be no size."""
    if isinstance(value, str) and (number := number_in(value)) is not None:
        value = number
    if isinstance(value, int):
        return StatedSize(None, value) if 0 <= value <= MAX_ID else None
    text = shown_text(value).strip()
    if not 0 < len(text) <= MAX_NAME_LENGTH or re.match(r"[-+.0-9]+$", text):
        return None
    if (found := _SIZE_TEXT.fullmatch(text)) is None:
        return StatedSize(text, None)
    size_bytes = int(Decimal(found[1]) * _STEP ** _UNITS.index(found[2].upper()))
    return StatedSize(text, size_bytes) if size_bytes <= MAX_ID else None


def shown_text(text: str) -> str:
    """A text from outside without what cannot be stored or shown: control characters and halves of characters."""
    return _SURROGATE.sub("\ufffd", _UNSHOWABLE.sub("", text))


def shown_filename(name: str) -> str | None:
    """The name that buyers see for a file, or None when nothing is left of it or it is longer than 255 characters.

    It names a download, never a path of ours; it has no separators, so that it cannot name one of the buyer's either.
    """
    shown = shown_link_name(name)
    shown = None if shown is None else _SEPARATOR.sub("_", shown)
    return None if shown in (None, ".", "..") else shown


def shown_link_name(name: str) -> str | None:
    """The name that buyers see for a link, or None when nothing is left of it or it is longer than 255 characters."""
    shown = shown_text(name).strip()
    return shown if 0 < len(shown) <= MAX_NAME_LENGTH else None


def is_link(url: str) -> bool:
    """Whether a browser may be sent there: http or https, a host, no credentials, at most 2048 characters of ASCII."""
    if len(url) > MAX_URL_LENGTH or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def limit(key: str, value: str) -> int | LimitFault | None:
    """The value of `downloads` or `expires_days`; None is no limit."""
    most = _MOST[key]
    if value.strip().lower() == "none":
        return None
    number = number_in(value.strip())
    if number is None or number > most:
        return LimitFault(f"must be a whole number from 0 to {most}, or none")
    return number


def number_in(text: str) -> int | None:
    """The 64-bit id or count that a text writes in plain digits, or None."""
    return int(text) if _WHOLE.fullmatch(text) and int(text) <= MAX_ID else None
