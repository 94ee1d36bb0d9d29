import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from carryout.clock import DAY, HOUR, MINUTE, SECOND
from carryout.db import Database, Query, Tx
from carryout.db.tables import api_calls
from carryout.errors import CarryoutError
from carryout.keyring import KEY_ID_BYTES
from carryout.merchants import service
from carryout.merchants.gate import Caller, Gate
from carryout.merchants.model import Dialect
from carryout.web.laravel import json_response
from carryout.web.routes import DeclaredRoute, RateLimit
from tests.cast import NOW, OTHER
from tests.merchants.callers import calling, make_gate, make_key
from tests.merchants.makers import KEYRING, make_store


class _RawCall(msgspec.Struct, frozen=True):
    reply: bytes


RAW = Query(select(api_calls.c.reply), _RawCall)


class _Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


class Lost(CarryoutError):
    """The work was lost on the way."""


class _Door:
    """Renames the store, and says how often it was asked and how often it did."""

    def __init__(self) -> None:
        self.asked = 0
        self.done = 0
        self.fails = False

    async def show(self, _request: Request, caller: Caller) -> Response:
        return json_response({"store": caller.store.name, "is_old": caller.is_old})

    async def rename(self, _request: Request, caller: Caller) -> Response:
        self.asked += 1
        fields = caller.fields()
        name = fields.text("name", required=True)
        fields.integer("size", required=True)
        fields.check()
        return await caller.write(self._render, self._rename, caller.store.id, name)

    async def _rename(self, tx: Tx, store_id: int, name: str) -> int:
        await service.update_profile(tx, store_id, name)
        self.done += 1
        return self.done

    def _render(self, done: int) -> Response:
        if self.fails:
            raise Lost
        return json_response({"done": done}, 201)

    def routes(self, gate: Gate) -> list[DeclaredRoute]:
        return [
            gate.route("/store", self.show, methods=["GET"], scope="read"),
            gate.route("/store", self.rename, methods=["PUT"], scope="write"),
            gate.route("/mail", self.show, methods=["PUT"], scope="write", limit=RateLimit.MAILS),
        ]


RENAME = {"name": "New", "size": 1}


@asynccontextmanager
async def opened(
    database: Database, *, limit: int = 0, scopes: str = "read,write", door: _Door | None = None
) -> AsyncIterator[tuple[httpx.AsyncClient, _Clock]]:
    store = await database.write(make_store)
    key = await database.write(make_key, store, Dialect.NEW, scopes)
    clock = _Clock()
    async with calling((door or _Door()).routes(make_gate(database, limit, clock)), key) as client:
        yield client, clock


async def name_of(database: Database, store_id: int = 1) -> str:
    store = await database.read(service.find_by_id, store_id)
    assert store is not None
    return store.name


# ── who may enter


async def test_a_key_opens_its_own_store(database: Database) -> None:
    store, other = await database.write(make_store), await database.write(make_store, OTHER)
    keys = {each.name: await database.write(make_key, each, Dialect.OLD) for each in (store, other)}
    for name, key in keys.items():
        async with calling(_Door().routes(make_gate(database)), key) as client:
            reply = await client.get("/store")
            assert (reply.status_code, reply.json()) == (200, {"store": name, "is_old": True})
            assert "x-ratelimit-limit" not in reply.headers
            assert reply.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_is_written_in_any_case(database: Database, scheme: str) -> None:
    key = await database.write(make_key, await database.write(make_store))
    async with calling(_Door().routes(make_gate(database)), None, {"authorization": f"{scheme} {key}"}) as client:
        assert (await client.get("/store")).status_code == 200


async def test_whoever_has_no_good_key_is_told_the_same(database: Database) -> None:
    store = await database.write(make_store)
    key = await database.write(make_key, store)
    expired = await database.write(make_key, store, Dialect.NEW, "read", NOW + 1)
    revoked = await database.write(make_key, store)
    listed = await database.read(service.list_keys)
    await database.write(service.revoke_key, listed[-1].uid, NOW)
    clock = _Clock()
    clock.now = NOW + 1
    headers: list[list[tuple[str, str]]] = [
        [], [("authorization", "")], [("authorization", key)], [("authorization", f"Basic {key}")],
        [("authorization", f"Bearer {key}"), ("authorization", f"Bearer {key}")], [("authorization", "Bearer")],
        [("authorization", f"Bearer {key}x")], [("authorization", f"Bearer {key.upper()}")],
        [("authorization", f"Bearer {expired}")], [("authorization", f"Bearer {revoked}")],
        [("authorization", f"Bearer {key} {key}")], [("x-api-key", key)],
    ]  # fmt: skip
    async with calling(_Door().routes(make_gate(database, 60, clock)), None) as client:
        replies = [await client.get("/store", headers=each) for each in headers]
        replies.append(await client.get("/store", params={"api_key": key}))
        replies.append(await client.put("/store", json=RENAME))
    assert {reply.status_code for reply in replies} == {401}
    assert {reply.text for reply in replies} == {'{"message":"Unauthenticated.","code":"unauthenticated"}'}
    assert {reply.headers["www-authenticate"] for reply in replies} == {"Bearer"}
    assert not any("x-ratelimit-limit" in reply.headers for reply in replies)


@pytest.mark.parametrize(("scopes", "get", "put"), [("read", 200, 403), ("write", 403, 201), ("read,write", 200, 201)])
async def test_a_key_does_what_its_scopes_say(database: Database, scopes: str, get: int, put: int) -> None:
    async with opened(database, scopes=scopes) as (client, _):
        replies = [await client.get("/store"), await client.put("/store", json=RENAME)]
    assert [reply.status_code for reply in replies] == [get, put]


async def test_a_head_is_a_get_without_its_body_and_other_methods_are_told_which_there_are(database: Database) -> None:
    async with opened(database) as (client, _):
        assert (await client.head("/store")).status_code == 200
        reply = await client.delete("/store")
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD, PUT")
        assert reply.json()["message"]
        assert (await client.get("/nothing")).json()["code"] == "not_found"
        assert (await client.options("/store")).status_code == 405


# ── how often


async def test_one_call_too_many_is_refused_until_the_minute_is_over(database: Database) -> None:
    async with opened(database, limit=3) as (client, clock):
        left = [(await client.get("/store")).headers["x-ratelimit-remaining"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        clock.now += 20 * SECOND
        for _ in range(5):  # what is refused is not counted, so it moves nothing
            reply = await client.get("/store")
            assert reply.status_code == 429
            assert (reply.headers["x-ratelimit-limit"], reply.headers["x-ratelimit-remaining"]) == ("3", "0")
            assert reply.headers["retry-after"] == "40"
            assert reply.json()["message"] == "Too Many Attempts."
        clock.now += 40 * SECOND
        assert (await client.get("/store")).headers["x-ratelimit-remaining"] == "2"


async def test_every_reply_to_a_valid_key_says_what_is_left(database: Database) -> None:
    async with opened(database, limit=60, scopes="write") as (client, _):
        replies = [
            await client.get("/store"),
            await client.put("/store", content=b"{"),
            await client.put("/store", json={}),
            await client.put("/store", content=b" " * (1024 * 1024 + 1)),
            await client.put("/store", json=RENAME),
        ]
    assert [reply.status_code for reply in replies] == [403, 422, 422, 413, 201]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["59", "58", "57", "56", "55"]


async def test_two_keys_and_what_sends_mail_are_counted_apart(database: Database) -> None:
    store = await database.write(make_store)
    routes = _Door().routes(make_gate(database, 2))
    for key in [await database.write(make_key, store) for _ in range(2)]:
        async with calling(routes, key) as client:
            assert [(await client.get("/store")).status_code for _ in range(3)] == [200, 200, 429]
            mails = [await client.put("/mail", json={}) for _ in range(2)]
            assert [reply.status_code for reply in mails] == [200, 429]
            assert mails[0].headers["x-ratelimit-limit"] == "1"


async def test_calls_at_once_are_counted_exactly(database: Database) -> None:
    async with opened(database, limit=7) as (client, _):
        replies = await asyncio.gather(*(client.get("/store") for _ in range(20)))
    assert sorted(reply.status_code for reply in replies) == [200] * 7 + [429] * 13


async def test_a_clock_that_is_set_back_locks_nobody_out(database: Database) -> None:
    async with opened(database, limit=1) as (client, clock):
        assert (await client.get("/store")).status_code == 200
        clock.now -= 2 * DAY
        assert [(await client.get("/store")).status_code for _ in range(2)] == [200, 429]
        clock.now += MINUTE
        assert (await client.get("/store")).status_code == 200


# ── what comes in


async def test_what_a_body_calls_itself_does_not_matter(database: Database) -> None:
    async with opened(database) as (client, _):
        for kind in ("application/json", "aplication/json", "text/plain", "application/x-www-form-urlencoded", ""):
            content = b'\xef\xbb\xbf {"name": " New ", "size": "1"}'
            assert (await client.put("/store", content=content, headers={"content-type": kind})).status_code == 201
    assert await name_of(database) == "New"


@pytest.mark.parametrize(
    "content", [b"{", b"name=New", b"[]", b"1", b'"\xff"', b"[" * 100_000, b'{"name":"\\ud800"}', b"null", b"NaN"]
)
async def test_what_is_no_json_object_is_a_fault_of_the_body(database: Database, content: bytes) -> None:
    async with opened(database) as (client, _):
        reply = await client.put("/store", content=content)
    assert reply.status_code == 422
    assert list(reply.json()["errors"]) == ["body"]


async def test_faults_are_told_as_laravel_tells_them(database: Database) -> None:
    async with opened(database) as (client, _):
        reply = await client.put("/store", content=b"")
    assert reply.json() == {
        "message": "The name field is required. (and 1 more error)",
        "code": "invalid",
        "errors": {"name": ["The name field is required."], "size": ["The size field is required."]},
    }


async def test_a_fault_that_a_room_finds_has_errors_too(database: Database) -> None:
    door = _Door()
    door.fails = True
    async with opened(database, door=door) as (client, _):
        reply = await client.put("/store", json=RENAME)
    assert reply.json()["errors"] == {"request": ["The work was lost on the way."]}


# ── once


async def test_a_call_that_is_repeated_is_made_once(database: Database) -> None:
    door = _Door()
    async with opened(database, door=door, limit=60) as (client, _):
        replies = [await client.put("/store", json=RENAME, headers={"idempotency-key": "a"}) for _ in range(3)]
        assert [(reply.status_code, reply.json()) for reply in replies] == [(201, {"done": 1})] * 3
        assert [reply.headers.get("idempotency-replayed") for reply in replies] == [None, "true", "true"]
        assert replies[2].headers["x-ratelimit-remaining"] == "57"
        again = await client.put("/store", json=RENAME, headers={"idempotency-key": "b"})
    assert (again.json(), door.done) == ({"done": 2}, 2)


async def test_without_a_name_every_call_is_made(database: Database) -> None:
    async with opened(database) as (client, _):
        for headers in ({}, {"idempotency-key": ""}):
            replies = [(await client.put("/store", json=RENAME, headers=headers)).json()["done"] for _ in range(2)]
            assert replies[1] == replies[0] + 1


async def test_a_name_stands_for_one_request(database: Database) -> None:
    async with opened(database) as (client, _):
        headers = {"idempotency-key": "a"}
        await client.put("/store", json=RENAME, headers=headers)
        others = [
            await client.put("/store", json=RENAME | {"name": "Other"}, headers=headers),
            await client.put("/store?x=1", json=RENAME, headers=headers),
            await client.put("/mail", json=RENAME, headers=headers),
            await client.put("/store", json=RENAME, headers=[("idempotency-key", "b"), ("idempotency-key", "c")]),
            await client.put("/store", json=RENAME, headers={"idempotency-key": "x" * 256}),
        ]
    assert [reply.status_code for reply in others] == [422] * 5
    assert {*others[0].json()["errors"]} == {"Idempotency-Key"}
    assert await name_of(database) == "New"


async def test_a_name_belongs_to_its_key(database: Database) -> None:
    store, other = await database.write(make_store), await database.write(make_store, OTHER)
    routes = _Door().routes(make_gate(database))
    done = []
    for key in [await database.write(make_key, each) for each in (store, store, other)]:
        async with calling(routes, key) as client:
            reply = await client.put("/store", json=RENAME, headers={"idempotency-key": "a"})
            done.append(reply.json()["done"])
    assert done == [1, 2, 3]


async def test_a_name_is_free_again_after_a_day(database: Database) -> None:
    async with opened(database) as (client, clock):
        done = []
        for passed in (0, DAY - 1, 1):
            clock.now += passed
            reply = await client.put("/store", json=RENAME, headers={"idempotency-key": "a"})
            done.append(reply.json()["done"])
    assert done == [1, 1, 2]


async def test_what_failed_leaves_no_record_and_no_effect(database: Database) -> None:
    door = _Door()
    door.fails = True
    async with opened(database, door=door) as (client, _):
        headers = {"idempotency-key": "a"}
        assert (await client.put("/store", json=RENAME, headers=headers)).status_code == 422
        assert await name_of(database) == "Mira"
        door.fails = False
        assert (await client.put("/store", json=RENAME, headers=headers)).status_code == 201
    assert await name_of(database) == "New"


async def test_of_the_same_call_at_once_one_is_made(database: Database) -> None:
    door = _Door()
    async with opened(database, door=door) as (client, _):
        calls = (client.put("/store", json=RENAME, headers={"idempotency-key": "a"}) for _ in range(16))
        replies = await asyncio.gather(*calls)
    assert {(reply.status_code, reply.json()["done"]) for reply in replies} == {(201, door.done)}
    assert [reply.headers.get("idempotency-replayed") for reply in replies].count(None) == 1


async def test_a_reply_is_kept_sealed(database: Database) -> None:
    async with opened(database) as (client, _):
        await client.put("/store", json=RENAME, headers={"idempotency-key": "the name of a call"})
        raw = await database.read(_list_calls)
    assert len(raw) == 1
    assert b"done" not in raw[0].reply
    assert KEYRING.knows(raw[0].reply[:KEY_ID_BYTES])


# ── the last use of a key


async def test_the_last_use_of_a_key_is_kept_until_it_is_flushed(database: Database) -> None:
    store = await database.write(make_store)
    key = await database.write(make_key, store)
    clock = _Clock()
    gate = make_gate(database, 0, clock)

    async def last_use() -> int | None:
        found = await database.read(service.find_by_key, key, NOW)
        assert found is not None
        return found[1].last_used_at

    async with calling(_Door().routes(gate), key) as client:
        await client.get("/store")
        assert await last_use() is None
        await gate.flush()
        assert await last_use() == NOW
        clock.now -= HOUR  # another process flushes later what it saw before
        await client.get("/store")
        await gate.flush()
        assert await last_use() == NOW
    await gate.flush()


async def _list_calls(tx: Tx) -> list[_RawCall]:
    return await tx.all(RAW)
