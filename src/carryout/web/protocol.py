"""The HTTP protocol of the server: uvicorn's on httptools, with the limits that it does not have.

- Exactly one `Host` (RFC 9112, section 3.2), else 400; more than 64 KiB of headers is 431; an unknown method is 405.
- A head that is not complete after 30 seconds is cut, and so is a body of which nothing came for 30 seconds.
- A body cut short is a 400 where anyone still listens, and `http.disconnect` for the application.
- A refusal is written, the sending side closed, and what still arrives is thrown away for a moment, because closing at
  once would reset the connection under the answer. So ends an answer with `Connection: close` before its request did.
- The application finds the transport in `scope["extensions"]["carryout.transport"]`.

Nothing here sets a timer: `Server` looks at all connections once a second, and a request pays for none of it.
"""

import asyncio
import contextvars
import enum
import math
import re
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from carryout.web.cycle import Cycle

TRANSPORT: Final = "carryout.transport"
HEAD_LIMIT_BYTES: Final = 64 * 1024
METHODS: Final = "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"

_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64} \S+ HTTP/1\.[01]\r?\n")
_LINGER_SECONDS: Final = 2.0
_MESSAGES: Final = {
    400: b'{"message":"This is not a valid HTTP request.","code":"bad_request"}',
    405: b'{"message":"This method is not known here.","code":"method_not_allowed"}',
    408: b'{"message":"The request did not arrive in time.","code":"request_timeout"}',
    431: b'{"message":"The headers of this request are too large.","code":"headers_too_large"}',
}


class Stage(enum.Enum):
    """What a connection waits for."""

    IDLE = "the next request"
    HEAD = "the rest of a request's head"
    BODY = "the rest of a request's body"
    DRAIN = "the rest of a body that nobody wants any more"
    ANSWER = "our answer"
    REFUSED = "the client to go"


class _Refused(Exception):
    """Stops the parser; the status is in `CarryoutProtocol._refusal`."""


class _PatientEnd:
    """The transport as the answer to a request with a body uses it."""

    def __init__(self, protocol: "CarryoutProtocol") -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.end


class CarryoutProtocol(HttpToolsProtocol):
    """One connection. `stall_seconds` is how long a head or a body may stall."""

    stall_seconds: ClassVar[float] = 30.0

    _refusal = 0
    _in_head = False
    _head_bytes = 0
    _requests = 0
    _received = 0
    _mark: tuple[object, ...] = ()
    _since = 0.0

    def __init__(self, config: uvicorn.Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._prompt_paths: frozenset[str] = getattr(config.loaded_app, "prompt_paths", frozenset())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it so
        """Keep the transport for the scopes to come."""
        super().connection_made(transport)
        self._extensions = {TRANSPORT: transport}

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse it where it is bad or too much."""
        self._received += 1
        if self._refusal:
            return
        began_before = self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # The upgrade is declined by answering in HTTP/1.1; what follows it is not for us.
            self.cycle.keep_alive = False
        except httptools.HttpParserInvalidMethodError:
            self._refuse(405 if _REQUEST_LINE.match(data) else 400)
        except httptools.HttpParserError:
            self._refuse(self._refusal or 400)
        else:
            if self._in_head and self._is_head_too_large(len(data) if began_before else 0):
                self._refuse(400 if len(self.url) > HEAD_LIMIT_BYTES else 431)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Run the application; where it will not wait, at once, which saves a task and a turn of the loop."""
        if cycle.scope["path"] not in self._prompt_paths:
            super()._start_asgi_task(cycle, app)
            return
        context = contextvars.copy_context()
        running = cycle.run_asgi(app)
        try:
            awaited = context.run(running.send, None)
        except StopIteration:
            return
        task = self.loop.create_task(_Begun(running, awaited), context=context)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def eof_received(self) -> None:
        """Refuse what was cut short."""
        cycle = self._current
        if self._in_head or (cycle is not None and cycle.more_body and not cycle.response_complete):
            self._refuse(self._refusal or 400)

    def on_message_begin(self) -> None:
        """A request's first byte came."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions  # type: ignore[typeddict-item]  # ours, as ASGI allows
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Check the head as a whole before anything runs."""
        self._in_head = False
        self._requests += 1
        hosts = 0
        has_body = False
        size_bytes = 0
        for name, value in self.headers:
            size_bytes += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
            elif name in (b"content-length", b"transfer-encoding"):
                has_body = True
        if size_bytes > HEAD_LIMIT_BYTES:
            self._refusal = 431
            raise _Refused
        if hosts != 1:
            self._refusal = 400
            raise _Refused
        self._describe()
        cycle = self.cycle
        self.cycle = Cycle(
            scope=self.scope,
            transport=_PatientEnd(self) if has_body else self.transport,  # type: ignore[arg-type]  # all of a transport that a cycle uses
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.scope["http_version"] != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if cycle is None or cycle.response_complete:
            self._start_asgi_task(self.cycle, self.app)
            return
        self.flow.pause_reading()  # pipelined: it waits for the answer before
        self.pipeline.appendleft((self.cycle, self.app))

    def end(self) -> None:
        """Close after an answer; where the rest of its request is still to come, as after a refusal."""
        if self.cycle.response_complete and self.cycle.more_body:
            self._refusal = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _describe(self) -> None:
        """Write into the scope what the head says."""
        parsed = httptools.parse_url(self.url)
        path = parsed.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = self.parser.get_http_version()
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = parsed.path
        self.scope["query_string"] = parsed.query or b""

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer a request; a body that was never asked for ends the connection."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self.expect_100_continue and self.cycle.more_body and not self.cycle.body:
            self.transport.close()

    def look(self, now: float) -> None:
        """Cut the connection when what it waits for is overdue; `now` is the loop's time."""
        stage = self.stage()
        mark = (stage, self._requests, self._received if stage is Stage.BODY else 0)
        if mark != self._mark:
            self._mark = mark
            self._since = now
            return
        if now - self._since < self._patience_seconds(stage):
            return
        if stage is Stage.IDLE:
            self.transport.close()
        elif stage in (Stage.REFUSED, Stage.DRAIN):
            self.transport.abort()
        else:
            self._refuse(408)

    def stage(self) -> Stage:
        """What the connection waits for."""
        if self._refusal:
            return Stage.ANSWER if self._is_answering() else Stage.REFUSED
        cycle = self._current
        if cycle is None or cycle.response_complete:
            if self._in_head:
                return Stage.HEAD
            return Stage.DRAIN if cycle is not None and cycle.more_body else Stage.IDLE
        # A body that we hold back ourselves, by not reading, does not stall.
        return Stage.BODY if cycle.more_body and not self.flow.read_paused else Stage.ANSWER

    def _patience_seconds(self, stage: Stage) -> float:
        match stage:
            case Stage.ANSWER:
                return math.inf
            case Stage.REFUSED:
                return _LINGER_SECONDS
            case Stage.IDLE if self._requests:
                return self.timeout_keep_alive
        return self.stall_seconds  # also before the first request

    @property
    def _current(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first request, whatever uvicorn declares

    def _is_answering(self) -> bool:
        cycle = self._current
        return cycle is not None and not cycle.response_complete and not cycle.disconnected

    def _is_head_too_large(self, more_bytes: int) -> bool:
        self._head_bytes += more_bytes
        if self._head_bytes > HEAD_LIMIT_BYTES or len(self.url) > HEAD_LIMIT_BYTES:
            return True
        return sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_LIMIT_BYTES

    def _refuse(self, status: int) -> None:
        self._refusal = status
        cycle = self.cycle
        if self._is_answering():
            if not cycle.more_body:  # the bytes after a whole request were bad: that request is answered first
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started or self.pipeline:  # the middle of an answer is no place for another one
                self.transport.abort()
                return
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write(self._refusal_bytes(status))
            self.transport.write_eof()

    def _refusal_bytes(self, status: int) -> bytes:
        body = _MESSAGES[status]
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append((b"allow", METHODS.encode()))
        return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % header for header in headers) + b"\r\n" + body


class _Begun(Coroutine[Any, Any, None]):
    """A coroutine that was begun outside a task, for a task to go on with; `awaited` is what it waits for."""

    def __init__(self, running: Coroutine[Any, Any, None], awaited: Any) -> None:
        self._running = running
        self._awaited = [awaited]

    def send(self, value: Any) -> Any:
        return self._awaited.pop() if self._awaited else self._running.send(value)

    def throw(self, *error: Any) -> Any:
        return self._running.throw(*error)

    def close(self) -> None:
        self._running.close()

    def __await__(self) -> Any:
        return self._running.__await__()


def sweep(connections: Iterable[Any], now: float) -> None:
    """Look at every connection once; `now` is the loop's time in seconds."""
    for connection in tuple(connections):
        connection.look(now)
