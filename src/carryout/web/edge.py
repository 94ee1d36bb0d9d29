"""The outermost layer: request id, access line, figures, and what an error becomes.

Bare ASGI, because every request passes here: it costs about 5 microseconds (7 with several workers).
A route's name in the figures is its pattern, from `scope["route"]`: the router sets it, and a door before it must.
"""

import asyncio
import contextvars
import os
import time
from itertools import count
from typing import Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carryout.errors import CarryoutError, Kind
from carryout.web.access_log import AccessLog
from carryout.web.metrics import Metrics
from carryout.web.problems import INTERNAL, http_problem, problem, refusal
from carryout.web.protocol import TRANSPORT

REQUEST_ID: Final[contextvars.ContextVar[str]] = contextvars.ContextVar("request_id")
CLIENT_LEFT: Final = 499  # in logs and figures only: nobody was there to be answered

_UNMATCHED: Final = "unmatched"
_ENCODED_SLASHES: Final = (b"%2f", b"%5c")


class Edge:
    """Wraps the router. `access_log` is None where the level leaves it out.

    `prompt_paths` are those whose door hardly ever waits, and needs no task before it does: the protocol runs it at
    once.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        access_log: AccessLog | None,
        prompt_paths: frozenset[str] = frozenset(),
    ) -> None:
        self.prompt_paths = prompt_paths
        self._app = app
        self._metrics = metrics
        self._access_log = access_log
        # Unique over restarts and workers by its beginning, over requests by its end; it need not be hard to guess.
        self._ids = count(1)
        self._id_begin = os.urandom(5).hex()
        self._log = structlog.get_logger("carryout.web")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens in it."""
        if scope["type"] != "http":
            await self._live(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = f"{self._id_begin}{next(self._ids):08x}"
        REQUEST_ID.set(request_id)
        id_header = (b"x-request-id", request_id.encode())
        scope["app"] = self._app  # with it Starlette raises its refusals instead of answering them as plain text
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), id_header]
            await send(message)

        try:
            if _is_odd(scope["path"], scope["raw_path"]):
                await http_problem(scope, HTTPException(404))(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # the edge is where unknown errors end
            reply = self._reply_to(error, scope)
            if status or reply is None:
                status = status or CLIENT_LEFT
                await _hang_up(scope)
            else:
                await reply(scope, receive, send_with_id)
        status = status or CLIENT_LEFT
        seconds = time.perf_counter() - started
        route = scope.get("route")
        self._metrics.count_request(route.path if route else _UNMATCHED, scope["method"], status, seconds)
        if self._access_log is not None:
            self._access_log.record(scope["method"], scope["path"], status, seconds, request_id)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application's lifespan; the last access lines are written before it ends."""

        async def send_after_lines(message: Message) -> None:
            if self._access_log is not None:
                self._access_log.flush()
            await send(message)

        await self._app(scope, receive, send_after_lines)

    def _reply_to(self, error: BaseException, scope: Scope) -> Response | None:
        """What the client is told, or None when there is nobody to tell."""
        match error:
            case ClientDisconnect() | asyncio.CancelledError():
                return None
            case CarryoutError():
                if error.kind is Kind.MISCONFIGURED:
                    self._log.error("request failed", exc_info=error)
                return problem(scope, error)
            case HTTPException():
                return http_problem(scope, error)
        self._log.error("request failed", method=scope["method"], exc_info=error)
        return refusal(scope, 500, *INTERNAL)


def _is_odd(path: str, raw_path: bytes) -> bool:
    """Whether the path is spelt as none of ours is: it gets a plain 404, never a redirect to another spelling."""
    if "//" in path or (path[-1:] == "/" and path != "/"):
        return True
    return (
        b"%" in raw_path and path.startswith("/api/") and any(slash in raw_path.lower() for slash in _ENCODED_SLASHES)
    )


async def _hang_up(scope: Scope) -> None:
    """Cut the connection: half an answer must not look like a whole one."""
    transport: Any = scope.get("extensions", {}).get(TRANSPORT)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0)  # lets the protocol learn of it
