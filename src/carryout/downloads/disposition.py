"""How a file is named to whoever saves it, and what keeps it from being rendered (RFC 6266, RFC 8187)."""

import mimetypes
import unicodedata
from typing import Final
from urllib.parse import quote

from carryout.filenames import FORBIDDEN, safe_name

__all__ = ["content_disposition", "file_headers", "media_type", "safe_name"]

_NOT_QUOTED: Final = "!#$&+-.^_`|~"  # RFC 8187, attr-char beside letters and digits

_FIXED: Final = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox",
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}


def content_disposition(filename: str) -> str:
    """`attachment` with both forms of the name: a plain one for old clients, the true one for the rest."""
    name = safe_name(filename)
    # Compatibility turns some letters into quotes and slashes: what is replaced in a name is replaced here again.
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = FORBIDDEN.sub("_", ascii_only).rstrip(" .").lstrip()
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
