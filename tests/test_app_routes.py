"""The route table and the document name the same doors, and every door says who may enter."""

import asyncio
import json
import re

import httpx
import pytest

from carryout.app import make_gate, open_house, routes
from carryout.downloads.transfers import Transfers
from carryout.settings import Settings
from carryout.web.contract import DOCUMENT
from carryout.web.metrics import Metrics
from carryout.web.routes import NO_BODY, Declaration, DeclaredRoute, Head, Who
from tests.merchants.makers import KEYRING
from tests.world.program import Server

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")


@pytest.fixture
def table(settings: Settings) -> list[DeclaredRoute]:
    async def walk() -> list[DeclaredRoute]:
        house = open_house(settings, KEYRING)
        try:
            metrics = Metrics()
            transfers = Transfers(house.database, house.now, metrics.count_bytes)
            return routes(house, "http://host", metrics, transfers, make_gate(house, "http://host"))
        finally:
            await house.database.close()

    return asyncio.run(walk())


def documented() -> set[tuple[str, str]]:
    paths = json.loads(DOCUMENT.read_bytes())["paths"]
    return {(path, method.upper()) for path, item in paths.items() for method in item if method in METHODS}


def test_every_route_is_in_the_document_and_the_reverse(table: list[DeclaredRoute]) -> None:
    assert {(route.path, method) for route in table for method in route.methods or ()} == documented()


def test_every_route_says_who_may_enter(table: list[DeclaredRoute]) -> None:
    for route in table:
        assert isinstance(route.declaration, Declaration), route.path
        assert ("HEAD" in (route.methods or ())) is (route.declaration.head is not Head.REFUSED), route.path
        assert route.declaration.body_limit_bytes == NO_BODY or {"POST", "PUT"} & (route.methods or set()), route.path


def test_whoever_needs_a_key_to_enter_is_named_in_the_document(table: list[DeclaredRoute]) -> None:
    paths = json.loads(DOCUMENT.read_bytes())["paths"]

    needing = {Who.SIGNER, Who.KEY_READER, Who.KEY_WRITER}
    for route in table:
        needed = {bool(paths[route.path][name.lower()]["security"]) for name in route.methods or ()}
        assert needed == {route.declaration.who in needing}, route.path


def test_whoever_may_only_read_writes_nowhere(table: list[DeclaredRoute]) -> None:
    for route in table:
        if route.declaration.who is Who.KEY_READER:
            assert route.methods == {"GET", "HEAD"}, route.path
        if route.declaration.who is Who.KEY_WRITER:
            assert not {"GET", "HEAD"} & (route.methods or set()), route.path


def test_no_other_method_is_let_in(table: list[DeclaredRoute], server: Server) -> None:
    with httpx.Client(base_url=server.base_url, trust_env=False) as client:
        for route in table:
            path = re.sub(r"\{\w+\}", "x", route.path)
            first = next(other for other in table if other.path_regex.match(path))
            allowed = {method for other in table if other.path == first.path for method in other.methods or ()}
            let_in = {method for other in table if other.path_regex.match(path) for method in other.methods or ()}
            for method in {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} - let_in:
                reply = client.request(method, path)
                assert reply.status_code == 405, (method, path)
                assert set(reply.headers["allow"].split(", ")) == allowed
                is_page = path.startswith("/o/")
                assert is_page or method == "HEAD" or reply.json()["code"] == "method_not_allowed"


def test_what_is_not_in_the_table_is_not_found(server: Server) -> None:
    for path in ("/", "/webhooks", "/d/ticket", "/healthz/", "//healthz", "/api/v2/customer-account-orders/"):
        reply = httpx.get(server.base_url + path, trust_env=False)
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), path
