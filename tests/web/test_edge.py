import json
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from structlog.testing import capture_logs

from carryout.errors import CarryoutError, DatabaseBusy, Kind
from carryout.web.access_log import AccessLog
from carryout.web.edge import REQUEST_ID, Edge
from carryout.web.metrics import Metrics
from tests.web.serving import call, serving


class ThingUnknown(CarryoutError):
    """There is no thing {name}."""

    kind = Kind.NOT_FOUND


async def show(request: Request) -> Response:
    match request.path_params["name"]:
        case "unknown":
            raise ThingUnknown(name="x")
        case "busy":
            raise DatabaseBusy
        case "broken":
            message = "secret detail"
            raise RuntimeError(message)
        case "cut":
            return StreamingResponse(broken_stream(), headers={"content-length": "10"})
    body = await request.body()
    return PlainTextResponse(f"{REQUEST_ID.get()} {len(body)}")


async def broken_stream() -> AsyncIterator[bytes]:
    yield b"half"
    raise RuntimeError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def edge(metrics: Metrics) -> Edge:
    return Edge(Router([Route("/things/{name}", show)], redirect_slashes=False), metrics, None)


def counted(metrics: Metrics) -> list[str]:
    return [line for line in metrics.exposition().decode().splitlines() if line.startswith("carryout_requests_total{")]


async def test_every_answer_carries_its_own_request_id_and_none_from_outside(edge: Edge) -> None:
    _, first, body = await call(edge, path="/things/a", headers=[(b"x-request-id", b"mine")])
    _, second, _ = await call(edge, path="/nowhere")

    assert len(first[b"x-request-id"]) == 18
    assert first[b"x-request-id"] in body
    assert first[b"x-request-id"] != second[b"x-request-id"]


@pytest.mark.parametrize(
    ("path", "status", "reply"),
    [
        ("/things/unknown", 404, {"message": "There is no thing x.", "code": "thing_unknown"}),
        ("/things/broken", 500, {"message": "Internal error", "code": "internal_error"}),
        ("/nowhere", 404, {"message": "There is nothing at this address.", "code": "not_found"}),
        ("/things/a/", 404, {"message": "There is nothing at this address.", "code": "not_found"}),
        ("//things/a", 404, {"message": "There is nothing at this address.", "code": "not_found"}),
        ("/things//a", 404, {"message": "There is nothing at this address.", "code": "not_found"}),
    ],
)
async def test_an_error_becomes_json_with_its_status(edge: Edge, path: str, status: int, reply: object) -> None:
    with capture_logs():
        found, headers, body = await call(edge, path=path)

    assert (found, json.loads(body)) == (status, reply)
    assert headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize("method", ["TRACE", "POST", "PROPFIND"])
async def test_a_method_that_no_door_takes_is_405_with_those_that_it_takes(edge: Edge, method: str) -> None:
    status, headers, body = await call(edge, method, "/things/a")

    assert status == 405
    assert set(headers[b"allow"].split(b", ")) == {b"GET", b"HEAD"}
    assert json.loads(body)["code"] == "method_not_allowed"


async def test_a_busy_database_says_when_to_come_back(edge: Edge) -> None:
    status, headers, _ = await call(edge, path="/things/busy")

    assert (status, headers[b"retry-after"]) == (503, b"5")


async def test_an_unknown_error_is_a_full_record_and_a_known_one_is_none(edge: Edge) -> None:
    with capture_logs() as logs:
        await call(edge, path="/things/broken")
        await call(edge, path="/things/unknown")

    assert [type(entry["exc_info"]) for entry in logs] == [RuntimeError]


async def test_requests_are_counted_by_the_pattern_of_their_route(edge: Edge, metrics: Metrics) -> None:
    await call(edge, path="/things/secret-name")
    await call(edge, path="/things/unknown")
    await call(edge, path="/nowhere")

    assert counted(metrics) == [
        'carryout_requests_total{method="GET",route="/things/{name}",status="200"} 1.0',
        'carryout_requests_total{method="GET",route="/things/{name}",status="404"} 1.0',
        'carryout_requests_total{method="GET",route="unmatched",status="404"} 1.0',
    ]


async def test_half_an_answer_is_cut_so_that_nobody_takes_it_for_a_whole(edge: Edge) -> None:
    with capture_logs() as logs:
        async with serving(edge) as running:
            reply = await running.exchange(b"GET /things/cut HTTP/1.1\r\nHost: a\r\n\r\n")

    assert b"content-length: 10\r\n" in reply
    assert len(reply.split(b"\r\n\r\n")[1]) < 10
    assert [entry["event"] for entry in logs] == ["request failed"]


async def test_a_client_that_leaves_is_no_error(edge: Edge, metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logs:
        async with serving(edge) as running:
            _, writer = await running.connect(b"GET /things/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhe")
            await running.until(lambda: bool(running.server.server_state.tasks))
            writer.transport.abort()
            await running.until(lambda: not running.server.server_state.tasks)

    assert logs == []
    assert not caplog.records
    assert counted(metrics) == ['carryout_requests_total{method="GET",route="/things/{name}",status="499"} 1.0']


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


async def test_the_access_line_holds_neither_query_nor_address_nor_header(pipe: tuple[int, int]) -> None:
    access_log = AccessLog(as_json=True, descriptor=pipe[1])
    async with serving(Edge(Router(), Metrics(), access_log)) as running:
        await running.exchange(
            b"GET /d/SECRET/a.pdf?id=SECRET HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Authorization: Bearer SECRET\r\n\r\n"
        )
    access_log.flush()

    written = os.read(pipe[0], 10_000)
    line: dict[str, Any] = json.loads(written)
    assert b"SECRET" not in written
    assert b"127.0.0.1" not in written
    assert (line["method"], line["path"], line["status"]) == ("GET", "/d/***", 404)
