import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from carryout.web.problems import refusal
from carryout.web.protocol import HEAD_LIMIT_BYTES, TRANSPORT
from tests.web.serving import Running, serving

LARGE = b"x" * (HEAD_LIMIT_BYTES + 1)


class Echo:
    """Answers with what it was sent; `/early` and `/refused` (413) without reading, `/wait` when told to."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.outcomes: list[str] = []
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.seen.append(scope["path"])
        request = Request(scope, receive)
        try:
            if scope["path"] == "/refused":
                await refusal(scope, 413, "too large", "body_too_large")(scope, receive, send)
                return
            if scope["path"] == "/wait":
                await self.go.wait()
            body = b"" if scope["path"] == "/early" else await request.body()
            text = f"{scope['method']} {scope['path']} {len(body)}"
            await PlainTextResponse(text)(scope, receive, send)
            self.outcomes.append("answered")
        except ClientDisconnect:
            self.outcomes.append("disconnected")


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def running(echo: Echo) -> AsyncIterator[Running]:
    async with serving(echo) as server:
        yield server


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + LARGE + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + LARGE * 5, 431),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000, 400),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", 400),
    ],
)
async def test_a_request_gets_its_status_and_a_refused_one_is_closed(
    running: Running, request_bytes: bytes, expected: int
) -> None:
    reply = await running.exchange(request_bytes)

    assert status(reply) == expected
    assert reply.count(b"HTTP/1.1 ") == 1
    if expected != 200:
        head, body = reply.split(b"\r\n\r\n", 1)
        assert b"connection: close" in head
        assert set(json.loads(body)) == {"message", "code"}
        assert (b"\r\nallow: GET" in head) == (expected == 405)


async def test_nothing_after_a_refused_request_is_run(running: Running, echo: Echo) -> None:
    await running.exchange(b"GET /one HTTP/1.1\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n")

    assert echo.seen == []


async def test_requests_sent_at_once_are_answered_in_their_order(running: Running) -> None:
    one = b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    reply = await running.exchange(one + b"GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    assert reply.index(b"POST /one 5") < reply.index(b"GET /two 0")


async def test_a_bad_request_behind_a_good_one_does_not_spoil_its_answer(running: Running, echo: Echo) -> None:
    reader, writer = await running.connect(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nnonsense \r\n\r\n")
    await running.until(lambda: echo.seen == ["/wait"])
    echo.go.set()

    reply = await reader.read()

    writer.close()
    assert status(reply) == 200
    assert reply.count(b"HTTP/1.1 ") == 1


async def test_a_head_that_stalls_is_cut(running: Running) -> None:
    reader, writer = await running.connect(b"GET / HTTP/1.1\r\nHos")
    await running.until(lambda: running.stages() == ["HEAD"])
    running.pass_seconds(29)
    assert not reader.at_eof()
    running.pass_seconds(31)

    assert status(await reader.read()) == 408
    writer.close()


async def test_a_body_that_stalls_is_cut_and_the_application_is_told(running: Running, echo: Echo) -> None:
    reader, writer = await running.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    await running.until(lambda: bool(echo.seen))
    running.pass_seconds(31)

    assert status(await reader.read()) == 408
    await running.until(lambda: bool(echo.outcomes))
    assert echo.outcomes == ["disconnected"]
    writer.close()


async def test_an_application_that_takes_long_is_waited_for(running: Running, echo: Echo) -> None:
    reader, writer = await running.connect(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    await running.until(lambda: bool(echo.seen))
    running.pass_seconds(600)
    echo.go.set()

    assert status(await reader.read()) == 200
    writer.close()


async def test_a_connection_that_says_nothing_is_closed(running: Running) -> None:
    reader, writer = await running.connect()
    await running.until(lambda: bool(running.server.server_state.connections))
    running.pass_seconds(31)

    assert await reader.read() == b""
    writer.close()


async def test_an_idle_connection_is_kept_for_its_own_time(running: Running) -> None:
    reader, writer = await running.connect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.readuntil(b"GET / 0")
    running.pass_seconds(60)
    writer.write(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await reader.readuntil(b"GET /again 0")
    running.pass_seconds(66)

    assert await reader.read() == b""
    writer.close()


async def test_a_body_cut_short_is_a_400_and_no_traceback(
    running: Running, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await running.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
    writer.write_eof()

    assert status(await reader.read()) == 400
    await running.until(lambda: bool(echo.outcomes))
    assert echo.outcomes == ["disconnected"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    writer.close()


async def test_a_client_that_leaves_is_noticed(running: Running, echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    _, writer = await running.connect(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
    await running.until(lambda: bool(echo.seen))
    writer.transport.abort()
    await running.until(lambda: bool(echo.outcomes))

    assert echo.outcomes == ["disconnected"]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_body_that_nobody_asked_for_is_read_away_so_that_the_answer_arrives(running: Running) -> None:
    reader, writer = await running.connect(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
    writer.write(b"x" * 9_000_000)
    await writer.drain()
    writer.write(b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    reply = await reader.read()

    writer.close()
    assert b"POST /early 0" in reply
    assert b"GET /next 0" in reply


async def test_an_answer_that_ends_the_connection_arrives_before_its_body_is_sent(running: Running) -> None:
    reader, writer = await running.connect(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n")
    reply = await reader.read()  # to the end of what we send: nobody waits for the rest of the body
    assert status(reply) == 413
    assert b"\r\nconnection: close\r\n" in reply
    assert running.stages() == ["REFUSED"]

    writer.write(b"x" * 1_000_000 + b"\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    await writer.drain()
    running.pass_seconds(1)
    assert running.stages() == ["REFUSED"]
    running.pass_seconds(3)
    await running.until(lambda: running.stages() == [])
    writer.close()


async def test_a_client_that_sends_all_of_a_refused_body_gets_the_answer_and_no_reset(
    running: Running, echo: Echo
) -> None:
    reader, writer = await running.connect(b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
    writer.write(b"x" * 9_000_000)
    await writer.drain()

    assert status(await reader.read()) == 413
    writer.close()
    await writer.wait_closed()
    await running.until(lambda: running.stages() == [])
    assert echo.seen == ["/refused"]


async def test_a_client_that_waits_for_100_continue_is_answered_and_closed(running: Running) -> None:
    head = b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"

    reply = await running.exchange(head)

    assert status(reply) == 200
    assert b"100 Continue" not in reply


async def test_an_upgrade_is_declined_by_answering(running: Running) -> None:
    head = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    )

    assert status(await running.exchange(head)) == 200


async def test_the_application_finds_the_transport() -> None:
    found = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope["extensions"][TRANSPORT])
        await PlainTextResponse("")(scope, receive, send)

    async with serving(app) as running:
        await running.exchange(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")

    assert isinstance(found[0], asyncio.Transport)
