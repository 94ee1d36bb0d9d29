import json
import os
from collections.abc import Iterator

import pytest

from carryout.web.access_log import AccessLog, mask, open_access_log

TICKET = "AQAAAAEAAAAAAAAAAgAAAACYkmZsXo2mCSvhJ3pfqxJv"
UID = "82664d96-6dfd-4343-96b0-05c46f412a5a"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/api/v2/customer-account-orders", "/api/v2/customer-account-orders"),
        ("/webhooks/shopify", "/webhooks/shopify"),
        (f"/d/{TICKET}/book.pdf", "/d/***"),
        (f"/o/{TICKET}", "/o/***"),
        ("/account/orders/0c732eb6fd9802a0821a9d29888baee8", "/account/orders/***"),
        (f"/api/v1/assets/{UID}", f"/api/v1/assets/{UID}"),
        (f"/api/v1/assets/{UID}/attach", f"/api/v1/assets/{UID}/attach"),
        (f"/{UID}{TICKET}", "/***"),
        ("/customers/anna@example.com/x", "/customers/***/x"),
        ("/customers/anna%40example.com", "/customers/***"),
        ("/a\nb\x1b[31m", "/a?b?[31m"),
        ("/" + "a/" * 500, "/" + "a/" * 99 + "a"),
    ],
)
def test_a_path_opens_no_door_and_names_nobody(path: str, shown: str) -> None:
    assert mask(path) == shown


async def test_lines_are_json_and_written_together(pipe: tuple[int, int]) -> None:
    log = AccessLog(as_json=True, descriptor=pipe[1])
    log.record("GET", '/"odd"', 404, 0.0015, "abc")
    log.record("GET", "/", 200, 0.1, "abd")
    log.flush()

    first, second = [json.loads(line) for line in os.read(pipe[0], 10_000).splitlines()]
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "level": "info", "event": "request", "method": "GET", "path": '/"odd"', "status": 404, "ms": 1.5,
        "request_id": "abc",
    }  # fmt: skip
    assert second["request_id"] == "abd"


async def test_a_terminal_gets_plain_lines(pipe: tuple[int, int]) -> None:
    log = AccessLog(as_json=False, descriptor=pipe[1])
    log.record("GET", "/healthz", 200, 0.0015, "abc")
    log.flush()

    assert os.read(pipe[0], 1000).decode().endswith("Z 200 GET /healthz 1.5 ms abc\n")


async def test_a_log_that_nobody_reads_stops_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    log = AccessLog(as_json=True, descriptor=writer)
    log.record("GET", "/", 200, 0.1, "abc")
    log.flush()
    os.close(writer)


def test_the_level_decides_whether_there_is_one() -> None:
    assert open_access_log("json", "warning") is None
    assert open_access_log("json", "info") is not None
