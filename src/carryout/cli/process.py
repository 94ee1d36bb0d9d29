"""One server process: builds the application from a job and serves it on a socket that was bound before."""

import importlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carryout.errors import CarryoutError, Kind
from carryout.keyring import Keyring
from carryout.settings import Settings, secret_keys
from carryout.web.server import make_server


class NotStarted(CarryoutError):
    """Carryout did not start; the reason is in the log above."""

    kind = Kind.MISCONFIGURED


class Job(msgspec.Struct, frozen=True):
    """What a process serves. `app` names the function that builds it, `module:function`, as every worker calls it."""

    app: str
    settings: Settings
    base_url: str
    run_jobs: bool
    metrics_dir: str | None = None


def run(job: Job, sock: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until a signal asks to stop. Errors: `NotStarted`, and whatever of ours stops the application's start."""
    application = _Application(_build(job))
    server = make_server(application, on_ready)
    try:
        server.run(sockets=[sock])
    except SystemExit:  # uvicorn's way to say that the start failed
        raise application.failure or NotStarted from None


def _build(job: Job) -> ASGIApp:
    module, _, name = job.app.partition(":")
    build = getattr(importlib.import_module(module), name)
    keyring = Keyring(secret_keys(job.settings))
    app: ASGIApp = build(job.settings, job.base_url, keyring, run_jobs=job.run_jobs, metrics_dir=job.metrics_dir)
    return app


class _Application:
    """Remembers why the application did not start, so that it is told in one line instead of three tracebacks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failure: CarryoutError | None = None
        logging.getLogger("uvicorn.error").addFilter(lambda record: "startup failed" not in record.msg)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._app(scope, receive, send) if scope["type"] == "http" else self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        said: list[str] = []

        async def send_without_traceback(message: Message) -> None:
            said.append(message["type"])
            await send({"type": message["type"]} if message["type"].endswith(".failed") else message)

        try:
            await self._app(scope, receive, send_without_traceback)
        except CarryoutError as error:
            self.failure = error
        except Exception:  # the edge of the process: it is logged, and the process ends
            log: Any = structlog.get_logger("carryout.serve")
            log.exception("the application failed to start or stop")
        if not said:
            await send({"type": "lifespan.startup.failed"})
