"""The merchant API of a whole server: limits over processes, calls over kills, and when a key was last used."""

import http.client
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final

import httpx
import pytest

from tests.cast import MIRA
from tests.world.program import Cli, Server

LINK: Final = {"filename": "My new book", "size": "10MB", "url": "https://www.my-website.com/download/my-book.pdf"}
# http.client's words for a line that was cut.
_CUT: Final = (OSError, http.client.HTTPException)


@pytest.fixture
def key(cli: Cli) -> str:
    """A key of Mira's store."""
    cli.ok("store", "create", MIRA.name, "--domain", MIRA.domain)
    made: str = cli.ok("key", "create", "--store", MIRA.domain, "--json").json["key"]
    return made


def store_link(server: Server, key: str, number: int) -> tuple[int, dict[str, Any], bool]:
    """Store a link under a name of its own: status, reply, and whether it is a reply of before."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"link {number}"}
        body = json.dumps(LINK | {"filename": f"Link {number}"})
        connection.request("POST", "/api/v1/assets/store", body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read()), reply.getheader("Idempotency-Replayed") == "true"


def test_a_limit_holds_over_processes_and_restarts(key: str, cli: Cli, start_server: Callable[..., Server]) -> None:
    server = start_server("--workers", "2", CARRYOUT_API_RATE_LIMIT="20")

    def ask(_: int) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{server.base_url}/api/v1/assets", headers=headers, trust_env=False, timeout=20).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(ask, range(50)))

    assert (statuses.count(200), statuses.count(429)) == (20, 30)
    server.stop()
    server = start_server(CARRYOUT_API_RATE_LIMIT="20")
    assert ask(0) == 429
    server.stop()
    assert cli.ok("key", "list", "--json").json[0]["last_used_at"] is not None


def test_a_call_is_made_once_however_often_the_server_dies(key: str, start_server: Callable[..., Server]) -> None:
    first: dict[int, dict[str, Any]] = {}
    number = 0
    for round_number in range(3):
        server = start_server(CARRYOUT_API_RATE_LIMIT="0")
        killing = threading.Timer(0.15 + 0.1 * round_number, server.kill)
        killing.start()
        while True:
            try:
                status, body, _ = store_link(server, key, number)
            except _CUT:
                break
            assert status == 200
            first[number] = body
            number += 1  # the one that was cut is sent again
        killing.join()
    server = start_server(CARRYOUT_API_RATE_LIMIT="0")

    again = {index: store_link(server, key, index) for index in range(number + 1)}

    assert len(first) > 5
    assert {index: again[index][1] for index in first} == first
    assert all(again[index][2] for index in first)
    reply = httpx.get(f"{server.base_url}/api/v1/assets", headers={"Authorization": f"Bearer {key}"}, trust_env=False)
    assert reply.json()["meta"]["total"] == number + 1
