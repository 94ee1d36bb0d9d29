"""Keeping a store's logo: `store set logo=PATH` copies the picture into the storage, from where it is served.

What stands in the settings then is the picture's name there, `{sha256}.{type}`; the type is what its bytes say.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from carryout.cli.session import Session
from carryout.errors import CarryoutError
from carryout.merchants.model import Store

MAX_PICTURE_BYTES: Final = 1024 * 1024

_NONE: Final = ("", "none")


class PictureUnreadable(CarryoutError):
    """The logo {path} cannot be read: {reason}."""


class PictureInvalid(CarryoutError):
    """The logo {path} must be a PNG, JPEG, WebP or GIF picture of at most 1 MiB."""


async def keep_logo(session: Session, store: Store, words: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs of `store set`, with a logo's path replaced by the name that it is kept under.

    Errors: `PictureUnreadable`, `PictureInvalid`, the storage's.
    """
    kept = []
    for key, value in words:
        if key != "logo" or value.strip().lower() in _NONE:
            kept.append((key, value))
            continue
        data, extension = _picture(Path(value))
        blob = await session.storage.put(store.uid, _once(data))
        kept.append((key, f"{blob.sha256.hex()}.{extension}"))
    return kept


def _picture(path: Path) -> tuple[bytes, str]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PICTURE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not the name of a file"
        raise PictureUnreadable(path=path, reason=reason) from error
    extension = _extension(data)
    if extension is None or len(data) > MAX_PICTURE_BYTES:
        raise PictureInvalid(path=path)
    return data, extension


def _extension(data: bytes) -> str | None:
    """What kind of picture the bytes begin like; never an SVG, which could hold a script."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
