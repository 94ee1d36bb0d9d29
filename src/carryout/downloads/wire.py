"""The connection under a reply, while its bytes are counted: nothing waits in our own buffer, and it can be cut."""

import asyncio
import fcntl
import socket
import struct
import termios
from contextlib import suppress
from typing import Any, Final

from starlette.types import Scope, Send

from carryout.web.cycle import SENDFILE
from carryout.web.protocol import TRANSPORT

_RESET: Final = struct.pack("ii", 1, 0)


class Wire:
    """Takes the chunks of one body, whose `Content-Length` was said, to the network."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._transport: Any = scope["extensions"][TRANSPORT]
        self._transport.set_write_buffer_limits(high=0)
        self._flow = self._transport.get_protocol().flow
        self._seen: tuple[int, int] | None = None
        self._seen_at = 0.0
        self._unsent_bytes = 0

    @property
    def is_broken(self) -> bool:
        """Whether nobody is there any more: the protocol closes the transport when the client leaves."""
        return bool(self._transport.is_closing())

    async def hand(self, data: bytes) -> int:
        """Hand a chunk to the network, and wait until nothing of it is left with us; how many bytes left.

        When the connection breaks meanwhile, it is what was seen to have left.
        """
        self._unsent_bytes = len(data)
        self._seen = None
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if self._flow.write_paused:
            await self._flow.drain()
        if not self.is_broken:
            self._unsent_bytes = 0
        return len(data) - self._unsent_bytes

    async def hand_file(self, descriptor: int, offset: int, size_bytes: int) -> int | None:
        """Hand on what the kernel takes at once of a file, uncopied; how much. None where that cannot be done."""
        message: dict[str, Any] = {
            "type": SENDFILE,
            "descriptor": descriptor,
            "offset": offset,
            "size_bytes": size_bytes,
        }
        await self._send(message)
        taken_bytes: int | None = message["taken_bytes"]
        return taken_bytes

    async def finish(self) -> None:
        """The body is complete."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def stalled_seconds(self, now: float) -> float:
        """For how long the client has taken nothing; to be asked from time to time. `now` is the loop's time."""
        if not self._flow.write_paused:
            self._seen = None
            return 0.0
        self._note_unsent()
        seen = (self._unsent_bytes, self._kernel_bytes())
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        return now - self._seen_at

    def cut(self) -> None:
        """Break the connection at once: neither our buffer nor the kernel's is sent any more."""
        if self._flow.write_paused:
            self._note_unsent()
        elif self.is_broken:
            return
        sock = self._transport.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    async def hang_up(self) -> None:
        """Break the connection, and let the protocol learn of it; what the kernel has still arrives."""
        self._transport.abort()
        await asyncio.sleep(0)

    def _note_unsent(self) -> None:
        waiting_bytes = self._transport.get_write_buffer_size()
        if waiting_bytes or not self.is_broken:  # a broken connection throws away what waits
            self._unsent_bytes = min(self._unsent_bytes, waiting_bytes)

    def _kernel_bytes(self) -> int:
        """What the kernel has not got acknowledged: it shrinks as long as somebody reads."""
        sock = self._transport.get_extra_info("socket")
        with suppress(OSError):
            return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), "little")
        return 0
