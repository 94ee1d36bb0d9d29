"""What a store's settings may be. Each answers the value, or a `SettingFault` that says what it must be."""

import re
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from carryout.merchants.model import MESSAGE_CODES, FraudBlock, SettingFault, StoreSettings

NONE: Final = "none"
SCOPES: Final = ("read", "write")
MAX_LIMIT: Final = 1_000_000_000
MAX_DAYS: Final = 36_500
READABLE_CONTRAST: Final = 4.5  # WCAG 2.2, success criterion 1.4.3

_DEFAULTS: Final = StoreSettings()
_DARK_PAGE: Final = "#16181d"
_ON: Final = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_WHOLE: Final = re.compile(r"[0-9]{1,10}")
_COLOUR: Final = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_PICTURE: Final = re.compile(r".+\.(?:png|jpe?g|webp|gif)", re.IGNORECASE)
_MAIL: Final = re.compile(r"mailto:[^\s@]+@[^\s@]+", re.IGNORECASE)
# Control characters but tab and line feed, and half surrogates: neither can be shown.
_UNSHOWABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_MESSAGE: Final = "message."
_TEXT_LENGTHS: Final = {"title": 200, "text": 5000, "logo": 1000}
_MESSAGE_LENGTH: Final = 1000
_URL_LENGTH: Final = 2048


def settings_with(
    settings: StoreSettings, key: str, value: str, timezones: Collection[str]
) -> StoreSettings | SettingFault:
    """The settings with one `KEY=VALUE` of `store set` applied. `timezones` are the names that this machine knows."""
    if key.startswith(_MESSAGE):
        return _message_set(settings, key, value)
    found: Any
    if key == "timezone":
        is_known = value == "UTC" or value in timezones
        found = value if is_known else _fault(key, "must be a time zone such as Europe/Berlin")
    elif key in _TEXT_LENGTHS:
        found = _text(key, value, _TEXT_LENGTHS[key])
    elif (parse := _PARSERS.get(key)) is not None:
        found = parse(key, value.strip())
    else:
        return _fault(key, "is not a setting of a store; they are " + ", ".join(setting_keys()))
    if isinstance(found, SettingFault):
        return found
    return msgspec.structs.replace(settings, **{key: found})


def settings_under(settings: StoreSettings, left_out: Collection[str]) -> StoreSettings:
    """The same wishes on a plan that leaves these settings out: at their defaults, the wish withheld."""
    wished = msgspec.convert({**msgspec.to_builtins(settings), **settings.withheld, "withheld": {}}, StoreSettings)
    defaults = {key: getattr(_DEFAULTS, key) for key in sorted(left_out)}
    wishes = {key: getattr(wished, key) for key, default in defaults.items() if getattr(wished, key) != default}
    return msgspec.structs.replace(wished, **defaults, withheld=msgspec.to_builtins(wishes))


def setting_keys() -> list[str]:
    """The keys that `store set` knows, in order."""
    return sorted([*_PARSERS, *_TEXT_LENGTHS, "timezone", "message.CODE"])


def is_domain(text: str) -> bool:
    """Whether a lower-case text is a host name of at least two labels (RFC 1123)."""
    return len(text) <= 253 and _DOMAIN.fullmatch(text) is not None  # noqa: PLR2004 - RFC 1035, section 2.3.4


def is_showable(text: str) -> bool:
    """Whether a text has neither control characters nor halves of characters."""
    return _UNSHOWABLE.search(text) is None


def whole_number(text: str, most: int) -> int | None:
    """The number from 0 to `most` that the text writes, or None."""
    if not _WHOLE.fullmatch(text) or int(text) > most:
        return None
    return int(text)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours such as `#0a5c8a`, from 1 to 21 (WCAG 2.2)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def dark_pair(accent: str) -> str:
    """The colour that stands for the accent on a dark page: the same, as much lighter as it takes to be read there."""
    channels = _channels(accent)
    for white_percent in range(0, 100, 5):
        lighter = "#" + "".join(f"{channel + (255 - channel) * white_percent // 100:02x}" for channel in channels)
        if contrast(lighter, _DARK_PAGE) >= READABLE_CONTRAST:
            return lighter
    return "#ffffff"


def _limit(key: str, value: str) -> int | SettingFault | None:
    return _number_or_none(key, value, MAX_LIMIT)


def _days(key: str, value: str) -> int | SettingFault | None:
    return _number_or_none(key, value, MAX_DAYS)


def _number_or_none(key: str, value: str, most: int) -> int | SettingFault | None:
    if value.lower() == NONE:
        return None
    number = whole_number(value, most)
    return _fault(key, f"must be a whole number from 0 to {most}, or none") if number is None else number


def _switch(key: str, value: str) -> bool | SettingFault:
    return _ON.get(value.lower(), _fault(key, "must be on or off"))


def _fraud_block(key: str, value: str) -> FraudBlock | SettingFault:
    levels = {level.value: level for level in FraudBlock}
    return levels.get(value.lower(), _fault(key, "must be one of " + ", ".join(levels)))


def _delivery(key: str, value: str) -> str | SettingFault:
    return value.lower() if value.lower() in ("proxy", "redirect") else _fault(key, "must be proxy or redirect")


def _accent(key: str, value: str) -> str | SettingFault | None:
    value = value.lower()
    if value in ("", NONE):
        return None
    if not _COLOUR.fullmatch(value):
        return _fault(key, "must be a colour such as #0a5c8a, or none")
    colour = value if len(value) == len("#rrggbb") else "#" + "".join(digit * 2 for digit in value[1:])
    found = min(contrast(colour, "#ffffff"), contrast(dark_pair(colour), _DARK_PAGE))
    if found < READABLE_CONTRAST:
        shown = int(found * 10) / 10
        return _fault(
            key, f"must be darker to be read on white: {shown}:1 of contrast, {READABLE_CONTRAST}:1 is needed"
        )
    return colour


def _contact_url(key: str, value: str) -> str | SettingFault | None:
    if value.lower() in ("", NONE):
        return None
    if len(value) <= _URL_LENGTH and is_showable(value) and (_MAIL.fullmatch(value) or _is_web_address(value)):
        return value
    return _fault(key, "must be an http, https or mailto address, or none")


def _is_web_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\s\\]", value)


def _text(key: str, value: str, most: int) -> str | SettingFault | None:
    if value.strip().lower() in ("", NONE):
        return None
    if len(value) > most or not is_showable(value):
        return _fault(key, f"must be at most {most} characters without control characters, or none")
    if key == "logo" and not _PICTURE.fullmatch(value):
        return _fault(key, "must be a picture (.png, .jpg, .webp or .gif), or none")
    return value


def _message_set(settings: StoreSettings, key: str, value: str) -> StoreSettings | SettingFault:
    code = key.removeprefix(_MESSAGE)
    if code not in MESSAGE_CODES:
        return _fault(key, "must be message. and one of " + ", ".join(MESSAGE_CODES))
    found = _text(key, value, _MESSAGE_LENGTH)
    if isinstance(found, SettingFault):
        return found
    messages = {name: text for name, text in settings.messages.items() if name != code}
    return msgspec.structs.replace(settings, messages=messages if found is None else {**messages, code: found})


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004 - sRGB


def _fault(key: str, must: str) -> SettingFault:
    return SettingFault(key, must)


_PARSERS: Final[dict[str, Callable[[str, str], Any]]] = {
    "download_limit": _limit,
    "address_limit": _limit,
    "expires_days": _days,
    "limit_per_unit": _switch,
    "fraud_block": _fraud_block,
    "expose_link_targets": _switch,
    "delivery": _delivery,
    "accent": _accent,
    "contact_url": _contact_url,
    "links_after_uninstall": _switch,
}
