"""What the tests of every kind of storage share."""

from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx

from carryout.storage import Storage

MIRA: Final = "01a20e90-cc89-72b9-9043-da4e00777707"
OTHER: Final = "01a20e90-cc89-72b9-9043-da4e00777708"
MEBIBYTE: Final = 2**20
EVERY_KIND: Final = ["disk", "moto", "swift"]

MakeStorage = Callable[[str], Storage]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """The parts, as an upload brings them."""
    for part in parts:
        yield part


async def many(count: int) -> AsyncIterator[bytes]:
    """So many MiB, each of them other bytes."""
    for number in range(count):
        yield bytes([number]) * MEBIBYTE


async def read(storage: Storage, store_uid: str, sha256: bytes) -> bytes:
    """The whole of an object."""
    file = await storage.open(store_uid, sha256)
    try:
        return await file.read(0, file.size_bytes)
    finally:
        await file.close()


def fetch(url: str) -> httpx.Response:
    """What a URL answers to somebody without any key."""
    return httpx.get(url, timeout=30)
