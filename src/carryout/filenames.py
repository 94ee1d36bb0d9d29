"""What a file is called where somebody saves it: in a link, in a download's headers, inside a ZIP."""

import re
import unicodedata
from typing import Final

MAX_BYTES: Final = 240
# What nobody sees: controls, the ends of lines, marks that turn the direction of a text, halves of characters.
UNSEEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
# What ends a name, begins another folder or a stream, or stands for other names, on one system or another.
FORBIDDEN: Final = re.compile(r'[\\/:*?"<>|%]')

# Devices of Windows, with any suffix, and with the spaces before it that Windows does not see.
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\.|$)")
_SUFFIX_BYTES: Final = 32
_ENDS: Final = " .\u00a0\u3000"
_NAMELESS: Final = "download"


def safe_name(filename: str) -> str:
    """The name in a form that every system can save: no path, no controls, no reserved name, at most 240 bytes.

    It is in NFC, and neither begins nor ends with a dot or a space. A safe name is its own.
    """
    seen = unicodedata.normalize("NFC", UNSEEN.sub("", filename))  # what stood apart may be one character now
    name = FORBIDDEN.sub("_", seen).strip(_ENDS)
    if not name:
        return _NAMELESS
    if _RESERVED.match(name):
        name = "_" + name
    return _shortened(name)


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > _SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = MAX_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(_ENDS) + dot + suffix
