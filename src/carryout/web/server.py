"""The HTTP server of one process: uvicorn on uvloop with our protocol, on a socket that buffers little."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from carryout.web.protocol import CarryoutProtocol, sweep

GRACE_SECONDS: Final = 25
# Longer than the 60 s after which balancers drop an idle connection: it is better that they do it.
KEEP_ALIVE_SECONDS: Final = 65
NOTSENT_LOWAT_BYTES: Final = 1024 * 1024

_GC_THRESHOLD: Final = 50_000
_SWEEP_TICKS: Final = 10  # uvicorn ticks ten times a second


class Server(uvicorn.Server):
    """Serves until a signal, finishes what runs in `GRACE_SECONDS`, and returns instead of dying of the signal."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, listen, and say so."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is alive by now stays, so the collector need not walk it again
        gc.set_threshold(_GC_THRESHOLD)  # a request makes hundreds of objects and hardly a cycle
        self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """The beat of uvicorn, and once a second a look at every connection."""
        if counter % _SWEEP_TICKS == 0:
            sweep(self.server_state.connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signal module's signature
        """Stop gracefully; a second Ctrl-C stops at once. Unlike uvicorn's, it does not end by the signal itself."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def make_server(
    app: ASGIApp, on_ready: Callable[[], None], protocol: type[CarryoutProtocol] = CarryoutProtocol
) -> Server:
    """The server of an ASGI application with a lifespan; run it on a `listening_socket`."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config, on_ready)


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket, not listening yet. Errors: `OSError` when the address is taken, unknown or forbidden.

    At most 1 MiB of what was handed to the network may stay unsent in our kernel (`TCP_NOTSENT_LOWAT`, inherited by
    every connection): counts are honest and revocation is quick.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    sock.settimeout(0)
    return sock
