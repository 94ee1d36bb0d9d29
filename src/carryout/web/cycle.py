"""One request and its answer on the wire: uvicorn's, except that the head leaves with the first piece of the body.

An answer that is handed over in one piece costs one write instead of two, which is a tenth of the customer endpoint.
A piece of a file may be handed over as such (`SENDFILE`): then the kernel takes it from its cache, uncopied.
"""

import os
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# A message of our own: `descriptor`, `offset`, `size_bytes`. What of it the kernel took at once comes back in it as
# `taken_bytes`: 0 while something waits, None where this file or this system cannot. It never waits.
SENDFILE: Final = "carryout.sendfile"

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class HeaderInvalid(RuntimeError):
    """A header that would break the answer's head; our own mistake."""


class Cycle(RequestResponseCycle):
    """One request and its answer; `_head` is what was not written yet."""

    _head = b""

    async def send(self, message: Any) -> None:
        """Take the next piece of the answer (ASGI); it waits while the client is slow."""
        if message["type"] == SENDFILE:
            message["taken_bytes"] = self._send_file(message["descriptor"], message["offset"], message["size_bytes"])
        elif self._head:
            await self._send_first(message)
        elif self.response_started or message["type"] != "http.response.start":
            await super().send(message)
        else:
            self._head = self._compose(message["status"], message.get("headers", ()))
            self.response_started = True
            self.waiting_for_100_continue = False

    async def _send_first(self, message: Any) -> None:
        head, self._head = self._head, b""
        body = message.get("body", b"")
        is_whole = not message.get("more_body") and len(body) == self.expected_content_length
        is_head = self.scope["method"] == "HEAD"
        if not is_whole or is_head or self.chunked_encoding or self.disconnected or self.flow.write_paused:
            await self._send_apart(head, message)
            return
        self.transport.write(head + body)
        self.expected_content_length = 0
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def _send_apart(self, head: bytes, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self.transport.write(head)
        await super().send(message)

    def _send_file(self, descriptor: int, offset: int, size_bytes: int) -> int | None:
        if self.disconnected or self.transport.is_closing():
            return 0
        if self._head:
            self.transport.write(self._head)
            self._head = b""
        if self.transport.get_write_buffer_size():
            return 0
        out = self.transport.get_extra_info("socket").fileno()
        try:
            taken_bytes = os.sendfile(out, descriptor, offset, min(size_bytes, self.expected_content_length))
        except (BlockingIOError, ConnectionError):  # who waits for the transport will learn that it broke
            return 0
        except OSError:
            return None
        self.expected_content_length -= taken_bytes
        return taken_bytes

    def _compose(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head as it goes out; what it says of length and connection is kept. Names are in lower case (ASGI).

        Errors: `HeaderInvalid`.
        """
        lines = []
        is_closing_said = False
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection" and b"close" in value.lower():
                is_closing_said = True
                self.keep_alive = False
            lines.append(name + b": " + value)
        if not self.keep_alive and not is_closing_said:
            lines.append(b"connection: close")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked")
        head = b"\r\n".join(lines)
        # One look at all of them: a line end more than there are ends would be a header that nobody meant.
        if _CONTROL(head) or not head.count(b"\r") == head.count(b"\n") == len(lines) - 1:
            raise HeaderInvalid(head)
        return STATUS_LINE[status] + head + b"\r\n\r\n"
