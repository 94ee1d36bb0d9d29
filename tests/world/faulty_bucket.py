"""An S3 server that answers one object, as wrongly as a test asks it to."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from tests.world.listener import listening

_RANGE: Final = re.compile(rb"range: bytes=(\d+)-(\d*)", re.IGNORECASE)
_SAME: Final = b'ETag: "1"\r\nLast-Modified: Wed, 12 Oct 2022 17:50:00 GMT\r\nConnection: close\r\n'

Fault = Callable[[int, int], bytes | None]


class FaultyBucket:
    """It answers every request for a range with what `fault(first, last)` says, or rightly where that is None."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.fault: Fault = lambda _first, _last: None
        self.requests: list[tuple[int, int]] = []
        self.endpoint = ""

    def partial(self, first: int, last: int, body: bytes, length: int | None = None) -> bytes:
        """A 206 for this range; `length` is what it says its length is."""
        head = f"HTTP/1.1 206 x\r\nContent-Length: {len(body) if length is None else length}\r\n"
        return f"{head}Content-Range: bytes {first}-{last}/{len(self.content)}\r\n".encode() + _SAME + b"\r\n" + body

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one answer."""
        writer.write(self._reply(await reader.readuntil(b"\r\n\r\n")))
        await writer.drain()

    def _reply(self, head: bytes) -> bytes:
        asked = _RANGE.search(head)
        if asked is None:
            return f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.content)}\r\n".encode() + _SAME + b"\r\n"
        first, last = int(asked[1]), int(asked[2] or len(self.content) - 1)
        self.requests.append((first, last))
        return self.fault(first, last) or self.partial(first, last, self.content[first : last + 1])


@asynccontextmanager
async def faulty_bucket(content: bytes) -> AsyncIterator[FaultyBucket]:
    """Serve this content on a free port of 127.0.0.1."""
    bucket = FaultyBucket(content)
    async with listening(bucket.answer) as port:
        bucket.endpoint = f"http://127.0.0.1:{port}"
        yield bucket
