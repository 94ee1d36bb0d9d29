"""Reading an object of S3 as it is sent to someone: piece after piece, now and then from another place."""

from collections.abc import AsyncIterator
from typing import Final

import obstore
from obstore.store import S3Store

from carryout.storage.blob import StorageUnavailable
from carryout.storage.s3_faults import translated

_CHUNK_BYTES: Final = 256 * 1024


class OpenObject:
    """`OpenBlob` on S3. A read that goes on where the last one ended comes from one answer that is kept open.

    So a file costs three requests, not one for each MiB, and what is held of it is a piece and the socket's buffer. The
    first read, and one from elsewhere, is a request for just these bytes.
    """

    descriptor = None

    def __init__(self, store: S3Store, name: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._store = store
        self._name = name
        self._next: int | None = None  # where the last read ended
        self._stream: AsyncIterator[bytes] | None = None  # what follows there, after `_rest`
        self._rest = b""

    async def read(self, offset: int, length: int) -> bytes:
        """See `OpenBlob`."""
        wanted = min(length, self.size_bytes - offset)
        if wanted <= 0:
            return b""
        goes_on = offset == self._next
        self._next = None  # an error makes the next read one from elsewhere
        data = await self._go_on(offset, wanted) if goes_on else await self._jump(offset, wanted)
        self._next = offset + wanted
        return data

    def expect(self, offset: int, length: int) -> None:
        """Nothing: what follows is on its way already."""

    async def close(self) -> None:
        """See `OpenBlob`."""
        self._drop()

    async def _go_on(self, offset: int, wanted: int) -> bytes:
        try:
            with translated():
                return await self._continue(offset, wanted)
        except StorageUnavailable:  # a server may end what a slow reader has kept open for long
            return await self._jump(offset, wanted)

    async def _jump(self, offset: int, wanted: int) -> bytes:
        self._drop()
        with translated():
            data = await obstore.get_range_async(self._store, self._name, start=offset, length=wanted)
        if len(data) != wanted:
            raise StorageUnavailable(reason="its answer is too short")
        return data.to_bytes()

    async def _continue(self, offset: int, wanted: int) -> bytes:
        stream = self._stream or await self._begin(offset)
        parts, missing = [self._rest], wanted - len(self._rest)
        while missing > 0:
            chunk = await anext(stream, b"")
            if not chunk:
                raise StorageUnavailable(reason="its answer is too short")
            parts.append(chunk)
            missing -= len(chunk)
        data = b"".join(parts)
        self._rest = data[wanted:]
        return data[:wanted]

    async def _begin(self, offset: int) -> AsyncIterator[bytes]:
        answer = await obstore.get_async(self._store, self._name, options={"range": {"offset": offset}})
        if answer.range != (offset, self.size_bytes):
            raise StorageUnavailable(reason="it sends other bytes than it was asked for")
        self._stream = aiter(answer.stream(_CHUNK_BYTES))
        return self._stream

    def _drop(self) -> None:
        self._stream, self._rest = None, b""
