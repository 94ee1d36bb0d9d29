"""How a file is named to whoever saves it, and what keeps it from being rendered (RFC 6266, RFC 8187)."""

import mimetypes
import re
import unicodedata
from typing import Final
from urllib.parse import quote

_REMOVED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_REPLACED: Final = re.compile(r'[\\/:*?"<>|%]')
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)")
_MAX_BYTES: Final = 240
_SUFFIX_BYTES: Final = 32
_NOT_QUOTED: Final = "!#$&+-.^_`|~"  # RFC 8187, attr-char beside letters and digits

_FIXED: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}


def safe_name(filename: str) -> str:
    """The name in a form that every system can save: no path, no controls, no reserved name, at most 240 bytes."""
    name = _REPLACED.sub("_", _REMOVED.sub("", unicodedata.normalize("NFC", filename))).strip(" .")
    if not name:
        return "download"
    if _RESERVED.match(name):
        name = "_" + name
    return _shortened(name)


def content_disposition(filename: str) -> str:
    """`attachment` with both forms of the name: a plain one for old clients, the true one for the rest."""
    name = safe_name(filename)
    # Compatibility turns some letters into quotes and slashes: what is replaced in a name is replaced here again.
    plain = _REPLACED.sub("_", unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()).rstrip(" .")
    if not plain or plain.startswith("."):
        plain = "download" + plain
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe=_NOT_QUOTED)}"


def media_type(filename: str) -> str:
    """The type that the name suggests; the file is saved, never rendered, whatever it is."""
    guessed, encoding = mimetypes.guess_type(safe_name(filename), strict=False)
    return "application/octet-stream" if guessed is None or encoding is not None else guessed


def file_headers(filename: str) -> dict[str, str]:
    """The headers of every reply that carries a file."""
    return _FIXED | {"content-disposition": content_disposition(filename), "content-type": media_type(filename)}


def _shortened(name: str) -> str:
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not dot or len(suffix.encode()) > _SUFFIX_BYTES:
        stem, dot, suffix = name, "", ""
    room = _MAX_BYTES - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .") + dot + suffix
