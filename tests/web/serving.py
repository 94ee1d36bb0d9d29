"""A small application on a real socket, in the test's own loop, and raw bytes to talk to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from carryout.web.protocol import CarryoutProtocol, sweep
from carryout.web.server import Server, listening_socket, make_server

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Running:
    """A server that runs: `port`, and its protocol's clock, which a test may move."""

    def __init__(self, server: Server, port: int) -> None:
        self.server = server
        self.port = port

    async def exchange(self, request: bytes) -> bytes:
        """Send bytes, and return all that comes until the server closes."""
        reader, writer = await self.connect(request)
        reply = await reader.read()
        writer.close()
        return reply

    async def connect(self, request: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which some bytes were sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        return reader, writer

    def pass_seconds(self, seconds: float) -> None:
        """Let the connections be looked at now and so many seconds later."""
        now = asyncio.get_running_loop().time()
        sweep(self.server.server_state.connections, now)
        sweep(self.server.server_state.connections, now + seconds)

    def stages(self) -> list[str]:
        """What each connection waits for."""
        connections: Any = self.server.server_state.connections
        return [connection.stage().name for connection in connections]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Give the loop turns until something holds."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110  # what is waited for happens in code under test
                await asyncio.sleep(0)


@asynccontextmanager
async def serving(app: App, protocol: type[CarryoutProtocol] = CarryoutProtocol) -> AsyncIterator[Running]:
    """Serve an application (without a lifespan of its own)."""
    sock = listening_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    server = make_server(_with_lifespan(app), lambda: None, protocol)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup([sock])
    await server.on_tick(0)
    try:
        yield Running(server, port)
    finally:
        # Not `server.shutdown`, which waits for its clock.
        for listener in server.servers:
            listener.close()
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        await server.lifespan.shutdown()


async def call(
    app: App, method: str = "GET", path: str = "/", headers: list[tuple[bytes, bytes]] | None = None
) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request without a socket: status, headers and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def send(message: Message) -> None:
        sent.append(dict(message))

    await app(scope(method, path, headers), _no_body, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(message["body"] for message in sent[1:])


def scope(method: str = "GET", path: str = "/", headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    """The scope of a request."""
    return {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers or [],
        "client": ("192.0.2.1", 1234),
        "state": {},
    }


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


def _with_lifespan(app: App) -> App:
    async def with_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    with_lifespan.prompt_paths = getattr(app, "prompt_paths", frozenset())  # type: ignore[attr-defined]  # functions take attributes
    return with_lifespan
