import asyncio
import socket
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

from starlette.types import Receive, Scope, Send

from carryout.downloads.wire import Wire
from tests.web.serving import serving

REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
MIB = 1024 * 1024


class Door:
    """Answers with a body of 64 MiB, handed over by the test's own function."""

    def __init__(self, work: Callable[[Wire], Awaitable[None]]) -> None:
        self._work = work
        self.done = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send the head, then do the work."""
        length = (b"content-length", b"%d" % (64 * MIB))
        wire = Wire(scope, send)
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await self._work(wire)
        self.done.set()
        await wire.hang_up()


async def connected(port: int) -> socket.socket:
    """A client with a small window, which has asked."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", port))
    await loop.sock_sendall(client, REQUEST)
    return client


async def test_a_chunk_is_handed_over_when_nothing_of_it_waits_with_us() -> None:
    handed: list[int] = []

    async def work(wire: Wire) -> None:
        handed.extend([await wire.hand(bytes(MIB)) for _ in range(8)])

    door = Door(work)
    async with serving(door) as running, asyncio.timeout(10):
        reader, writer = await running.connect(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.read(-1)) == 8 * MIB
        writer.close()
    assert handed == [MIB] * 8


async def test_of_a_file_the_kernel_takes_what_it_has_room_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * (64 * MIB // 256))
    taken: list[int | None] = []

    async def work(wire: Wire) -> None:
        with (tmp_path / "file").open("rb") as file:
            offset = 0
            while more := await wire.hand_file(file.fileno(), offset, MIB):
                offset += more
            taken.extend([offset, more])
            wire.cut()
            taken.append(await wire.hand_file(file.fileno(), offset, MIB))

    door = Door(work)
    async with serving(door) as running, asyncio.timeout(10):
        client = await connected(running.port)
        await door.done.wait()
        client.close()
    offset, full, broken = taken
    assert offset
    assert 0 < offset < 16 * MIB
    assert (full, broken) == (0, 0)


async def test_who_leaves_is_noticed_and_what_waited_is_not_counted() -> None:
    handed: list[int] = []

    async def work(wire: Wire) -> None:
        while not wire.is_broken:
            handed.append(await wire.hand(bytes(MIB)))

    door = Door(work)
    async with serving(door) as running, asyncio.timeout(10):
        client = await connected(running.port)
        await asyncio.get_running_loop().sock_recv(client, 1000)
        await running.until(lambda: len(handed) > 0)
        client.close()
        await door.done.wait()
    assert sum(handed) < 4 * MIB
    assert handed[-1] < MIB


async def test_how_long_a_client_took_nothing_is_known() -> None:
    wires: list[Wire] = []

    async def work(wire: Wire) -> None:
        wires.append(wire)
        while not wire.is_broken:
            await wire.hand(bytes(MIB))

    door = Door(work)
    loop = asyncio.get_running_loop()
    async with serving(door) as running, asyncio.timeout(10):
        client = await connected(running.port)
        clock = count()
        await running.until(lambda: bool(wires) and wires[0].stalled_seconds(next(clock)) > 50)
        [wire] = wires
        while wire.stalled_seconds(next(clock)) > 0:
            await loop.sock_recv(client, 65536)
        wire.cut()
        await door.done.wait()
        client.close()


async def test_a_cut_sends_nothing_more_and_says_how_much_had_left() -> None:
    handed: list[int] = []
    wires: list[Wire] = []

    async def work(wire: Wire) -> None:
        wires.append(wire)
        while not wire.is_broken:
            handed.append(await wire.hand(bytes(MIB)))

    door = Door(work)
    loop = asyncio.get_running_loop()
    async with serving(door) as running, asyncio.timeout(10):
        client = await connected(running.port)
        clock = count()
        await running.until(lambda: bool(wires) and wires[0].stalled_seconds(next(clock)) > 50)
        wires[0].cut()
        wires[0].cut()
        await door.done.wait()
        got = 0
        try:
            while more := await loop.sock_recv(client, 65536):
                got += len(more)
        except ConnectionResetError:
            pass
        client.close()
    assert got <= sum(handed) + 1000
    assert handed[-1] < MIB
