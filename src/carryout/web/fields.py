"""The fields of a request of the merchant API, read and checked as Laravel does it, with Laravel's texts.

A field that is wrong is one more fault, and all of them are told at once.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from carryout.clock import parse_iso
from carryout.identifiers import is_uid
from carryout.web.laravel import Invalid

MAX_INTEGER: Final = 2**63 - 1

_BOM: Final = b"\xef\xbb\xbf"
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")  # PostgreSQL stores no NUL, and nothing stores half a character
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_TRUE: Final = (True, "1", "true")  # 1 is True here
_FALSE: Final = (False, "0", "false")


def read_fields(body: bytes) -> "Fields":
    """The fields of a JSON object, whatever the body calls itself; no body is no fields.

    Errors: `Invalid`, where it is no JSON object.
    """
    raw = body.removeprefix(_BOM).strip()
    if not raw:
        return Fields({})
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid({"body": ["The body must be valid JSON."]}) from None
    if not isinstance(document, dict):
        raise Invalid({"body": ["The body must be a JSON object."]})
    return Fields(document)


class Fields:
    """The fields of a request. What is read is checked, faults are gathered, and `check` raises them all at once.

    A text is trimmed, and an empty one is none at all, as in Laravel. What cannot be read is None.
    """

    def __init__(self, values: Mapping[str, Any], prefix: str = "", errors: dict[str, list[str]] | None = None) -> None:
        self._values = values
        self._prefix = prefix
        self._errors: dict[str, list[str]] = {} if errors is None else errors

    def has(self, name: str) -> bool:
        """Whether the field is there, be it null."""
        return name in self._values

    def value(self, name: str, *, required: bool = False) -> Any:
        """The field as it came, of any type."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = value.strip() or None
        if required and (value is None or value in ([], {})):
            self.fail(name, "The {field} field is required.")
            return None
        return value

    def text(self, name: str, *, required: bool = False, most: int = 255) -> str | None:
        """A text of at most so many characters."""
        value = self.value(name, required=required)
        if value is None:
            return None
        if not isinstance(value, str) or _UNSTORABLE.search(value):
            self.fail(name, "The {field} field must be a string.")
            return None
        if len(value) > most:
            self.fail(name, f"The {{field}} field must not be greater than {most} characters.")
            return None
        return value

    def integer(self, name: str, *, required: bool = False, least: int = 0, most: int = MAX_INTEGER) -> int | None:
        """A whole number; a text that writes one will do."""
        value = self.value(name, required=required)
        if value is None:
            return None
        number = whole_number(value)
        if number is None:
            self.fail(name, "The {field} field must be an integer.")
            return None
        if number < least:
            self.fail(name, f"The {{field}} field must be at least {least}.")
            return None
        if number > most:
            self.fail(name, f"The {{field}} field must not be greater than {most}.")
            return None
        return number

    def boolean(self, name: str, *, required: bool = False) -> bool | None:
        """True or false; 1 and 0 will do."""
        value = self.value(name, required=required)
        if value is None:
            return None
        if not isinstance(value, bool | int | str) or value not in (*_TRUE, *_FALSE):
            self.fail(name, "The {field} field must be true or false.")
            return None
        return value in _TRUE

    def moment(self, name: str, *, required: bool = False) -> int | None:
        """An ISO 8601 time with an offset or a Z, as microseconds UTC."""
        value = self.value(name, required=required)
        if value is None:
            return None
        at = parse_iso(value) if isinstance(value, str) else None
        if at is None:
            self.fail(name, "The {field} field must be a valid date.")
        return at

    def uid(self, name: str, *, required: bool = False) -> str | None:
        """One of our ids, lower case."""
        value = self.value(name, required=required)
        if value is None:
            return None
        if not isinstance(value, str) or not is_uid(value):
            self.fail(name, "The {field} field must be a valid UUID.")
            return None
        return value.lower()

    def choice(self, name: str, options: Sequence[str], *, required: bool = False) -> str | None:
        """One of these words."""
        value = self.value(name, required=required)
        if value is not None and value not in options:
            self.fail(name, "The selected {field} is invalid.")
            return None
        return value  # type: ignore[no-any-return]  # it is one of the options, or None

    def each(self, name: str, *, required: bool = False, most: int = 1000) -> "list[tuple[str, Fields]]":
        """The items of a list: for each its place, as a name, and fields in which it stands under that name.

        `[item.inner(place) for place, item in fields.each("lines")]` reads a list of objects; a fault is `lines.0.sku`.
        """
        value = self.value(name, required=required)
        if value is not None and not isinstance(value, list):
            self.fail(name, "The {field} field must be an array.")
        elif value is not None and len(value) > most:
            self.fail(name, f"The {{field}} field must not have more than {most} items.")
        elif value is not None:
            places = {str(index): item for index, item in enumerate(value)}
            inner = Fields(places, f"{self._prefix}{name}.", self._errors)
            return [(place, inner) for place in places]
        return []

    def integers(self, name: str, *, required: bool = False) -> list[int]:
        """A list of whole numbers; a fault is called by its place, `product_ids.0`."""
        found = [item.integer(place, required=True) for place, item in self.each(name, required=required)]
        return [number for number in found if number is not None]

    def texts(self, name: str, *, required: bool = False) -> list[str]:
        """A list of texts; a fault is called by its place, `products.0`."""
        found = [item.text(place, required=True) for place, item in self.each(name, required=required)]
        return [text for text in found if text is not None]

    def inner(self, name: str, *, required: bool = False) -> "Fields":
        """The fields of an object within, whose faults are called `limits.downloads`; none where it is not there."""
        value = self.value(name, required=required)
        if value is not None and not isinstance(value, dict):
            self.fail(name, "The {field} field must be an array.")
        return Fields(value if isinstance(value, dict) else {}, f"{self._prefix}{name}.", self._errors)

    def fail(self, name: str, text: str) -> None:
        """Note a fault; `{field}` in the text becomes the field's name as a person reads it."""
        key = self._prefix + name
        self._errors.setdefault(key, []).append(text.replace("{field}", key.replace("_", " ")))

    def check(self) -> None:
        """Errors: `Invalid`, with every fault that was found."""
        if self._errors:
            raise Invalid(self._errors)


def whole_number(value: object) -> int | None:
    """The whole number that a JSON value is or writes, or None; true is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return value if isinstance(value, int) else None
