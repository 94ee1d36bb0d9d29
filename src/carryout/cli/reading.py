"""Files that a person names: opened before anything is stored, read in pieces, with progress on a terminal."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from carryout.errors import CarryoutError, Kind
from carryout.storage import Blob, Storage

_CHUNK_BYTES: Final = 1 << 20
_WORTH_SHOWING_BYTES: Final = 64 << 20


class FileUnreadable(CarryoutError):
    """{path} cannot be read: {reason}. Nothing was stored."""

    kind = Kind.INVALID


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[tuple[Path, BinaryIO]]]:
    """All of the files, open, or none. Errors: `FileUnreadable`, also for a folder."""
    with ExitStack() as stack:
        yield [(path, stack.enter_context(_open(path))) for path in paths]


async def store_file(storage: Storage, store_uid: str, source: BinaryIO) -> Blob:
    """Stream a file into the storage. Errors: `FileUnreadable`, and those of the storage."""
    return await storage.put(store_uid, _chunks(source))


def _open(path: Path) -> BinaryIO:
    try:
        # Not to wait for a pipe's other end: one is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        source = os.fdopen(descriptor, "rb")
    except (OSError, ValueError) as error:
        raise FileUnreadable(path=path, reason=getattr(error, "strerror", None) or error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        source.close()
        raise FileUnreadable(path=path, reason="it is not a file")
    return source


async def _chunks(source: BinaryIO) -> AsyncIterator[bytes]:
    whole = os.fstat(source.fileno()).st_size
    shows = sys.stderr.isatty() and whole >= _WORTH_SHOWING_BYTES
    done = 0
    while chunk := await asyncio.to_thread(_read, source):
        yield chunk
        done += len(chunk)
        if shows:
            sys.stderr.write(f"\r{source.name}  {min(100, done * 100 // whole)} %{'' if done < whole else chr(10)}")


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(_CHUNK_BYTES)
    except OSError as error:
        raise FileUnreadable(path=source.name, reason=error.strerror) from None
