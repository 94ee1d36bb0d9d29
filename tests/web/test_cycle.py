import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from carryout.web.cycle import SENDFILE
from tests.web.serving import Running, serving

BODY = b"x" * 3000


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(BODY, headers={"x-kind": "whole"})(scope, receive, send)


async def exchange(app: Any, method: str = "GET") -> bytes:
    async with serving(app) as running:
        return await running.exchange(f"{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())


async def pieces(running: Running) -> Sequence[bytes]:
    """What each read of the client finds, on a connection where nothing is lost or joined on the way."""
    reader, writer = await running.connect(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    found = []
    while piece := await reader.read(1 << 20):
        found.append(piece)
    writer.close()
    return found


async def test_head_and_body_leave_together() -> None:
    async with serving(answer) as running:
        first, *_ = await pieces(running)

    head, _, body = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nx-kind: whole" in head
    assert body == BODY


async def test_the_answer_to_head_has_no_body() -> None:
    whole = await exchange(answer, "HEAD")

    assert whole.startswith(b"HTTP/1.1 200 OK")
    assert b"content-length: 3000" in whole
    assert whole.endswith(b"\r\n\r\n")


async def test_a_body_of_unknown_length_is_sent_in_chunks() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        async def parts() -> Any:
            yield b"one"
            yield b"two"

        await StreamingResponse(parts())(scope, receive, send)

    whole = await exchange(stream)

    assert b"transfer-encoding: chunked" in whole
    assert whole.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_a_body_in_pieces_arrives_whole() -> None:
    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"two"})

    assert (await exchange(stream)).endswith(b"\r\n\r\nonetwo")


async def test_a_header_that_would_split_the_head_ends_the_connection() -> None:
    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        headers = [(b"content-length", b"0"), (b"x-name", b"a\r\nset-cookie: b")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    assert b"set-cookie" not in await exchange(split)


async def test_a_piece_of_a_file_goes_out_after_the_head_and_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    taken: list[int | None] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        with (tmp_path / "file").open("rb") as file:
            message: dict[str, Any] = {"type": SENDFILE, "descriptor": file.fileno(), "offset": 3, "size_bytes": 4}
            await send(message)
            taken.append(message["taken_bytes"])
            await send({"type": "http.response.body", "body": b"ab", "more_body": True})
            await send(message)  # no more than was said in the head
            taken.append(message["taken_bytes"])
        await send({"type": "http.response.body", "body": b""})

    assert (await exchange(stream)).endswith(b"\r\n\r\n3456ab")
    assert taken == [4, 0]


async def test_what_is_no_file_cannot_be_sent_as_one() -> None:
    taken: list[int | None] = []
    reading, writing = os.pipe()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        message: dict[str, Any] = {"type": SENDFILE, "descriptor": reading, "offset": 0, "size_bytes": 2}
        await send(message)
        taken.append(message["taken_bytes"])
        await send({"type": "http.response.body", "body": b"ab"})

    assert (await exchange(stream)).endswith(b"\r\n\r\nab")
    assert taken == [None]
    os.close(reading)
    os.close(writing)
