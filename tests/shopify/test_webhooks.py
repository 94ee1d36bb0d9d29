"""The door, over a socket: who is let in, what is answered, and that it is there afterwards."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest

from carryout.clock import HOUR, now
from carryout.db import Database
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.shopify import service
from carryout.shopify.model import InboxRow, Outcome
from carryout.shopify.webhooks import BODY_LIMIT_BYTES
from tests.cast import MIRA, OTHER
from tests.merchants.makers import KEYRING, make_store
from tests.shopify.payloads import DATA, REAL, order, topic_of
from tests.world.program import Server

PATH: Final = "/webhooks/shopify"
SQLITE: Final = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Headers = list[tuple[str, str]]


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


def signature(raw: bytes, secret: str = MIRA.webhook_secret) -> str:
    """As Shopify signs."""
    return base64.b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()


def signed(raw: bytes, topic: str = "orders/paid", delivery_id: str | None = "1", **changes: str | None) -> Headers:
    """The headers of a good delivery; a change of None leaves one out."""
    headers: dict[str, str | None] = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signature(raw),
        "X-Shopify-Shop-Domain": MIRA.domain,
        "X-Shopify-Webhook-Id": delivery_id,
        "X-Shopify-Event-Id": "an event of several topics",
        "X-Shopify-Triggered-At": "2026-11-24T16:12:50.123456789Z",
    }
    named = {f"X-Shopify-{name.replace('_', '-')}": value for name, value in changes.items()}
    return [(name, value) for name, value in (headers | named).items() if value is not None]


@contextmanager
def client_of(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=20) as client:
        yield client


async def rows_of(database: Database, owner: Store) -> list[InboxRow]:
    return await database.read(service.list_deliveries, owner.id)


def vectors() -> Iterator[tuple[str, str, str]]:
    known = json.loads((DATA / "known-answers.json").read_text())
    for vector in known["webhook_hmac"]:
        yield known["secret"], vector["body_utf8"], vector["x_shopify_hmac_sha256"]


@pytest.mark.parametrize(("secret", "body", "answer"), list(vectors()))
def test_our_signature_is_the_known_one(secret: str, body: str, answer: str) -> None:
    assert signature(body.encode(), secret) == answer


async def test_a_signed_delivery_is_taken_in_once(server: Server, database: Database, mira: Store) -> None:
    with client_of(server) as client:
        for path in REAL:
            raw = path.read_bytes()
            for status in ("applied", "duplicate"):
                reply = client.post(PATH, content=raw, headers=signed(raw, topic_of(path), path.name))
                assert (reply.status_code, reply.json()) == (200, {"status": status})
        raw = b'{"id": 5}'
        unused = client.post(PATH, content=raw, headers=signed(raw, "carts/update", "another"))
        parked = client.post(
            PATH, content=raw.replace(b"5", b"[]"), headers=signed(b'{"id": []}', "orders/paid", "odd")
        )
        assert [unused.json(), parked.json()] == [{"status": "ignored"}, {"status": "parked"}]
        assert client.get(PATH).status_code == 405
    assert len(await rows_of(database, mira)) == len(REAL) + 2


async def test_an_event_id_is_no_key(server: Server, database: Database, mira: Store) -> None:
    raw = json.dumps(order()).encode()
    with client_of(server) as client:
        for topic in ("orders/create", "orders/paid"):
            assert client.post(PATH, content=raw, headers=signed(raw, topic, topic)).json() == {"status": "applied"}
    assert len(await rows_of(database, mira)) == 2


async def test_the_newer_header_names_are_taken(server: Server, mira: Store) -> None:
    raw = json.dumps(order()).encode()
    with client_of(server) as client:
        newer = [(name.removeprefix("X-"), value) for name, value in signed(raw)]
        assert client.post(PATH, content=raw, headers=newer).json() == {"status": "applied"}
        assert client.post(PATH, content=raw, headers=signed(raw)).json() == {"status": "duplicate"}
        both = [*newer, ("X-Shopify-Hmac-Sha256", signature(raw))]
        assert client.post(PATH, content=raw, headers=both).status_code == 401
    assert mira.domain == MIRA.domain


async def test_without_an_id_the_content_is_the_key(server: Server, mira: Store) -> None:
    raw = json.dumps(order()).encode()
    with client_of(server) as client:
        first, second = (client.post(PATH, content=raw, headers=signed(raw, delivery_id=None)) for _ in range(2))
        assert [first.json(), second.json()] == [{"status": "applied"}, {"status": "duplicate"}]
        no_topic = client.post(PATH, content=raw, headers=signed(raw, delivery_id="2", Topic=None))
        assert no_topic.json() == {"status": "ignored"}
    assert mira.domain == MIRA.domain


def refusals(raw: bytes) -> Iterator[tuple[str, Headers]]:
    """Every way of not being Shopify."""
    good = signature(raw)
    digest = hmac.digest(MIRA.webhook_secret.encode(), raw, "sha256")
    for name, value in {
        "missing": None,
        "empty": "",
        "wrong": signature(b"something else"),
        "of another secret": signature(raw, OTHER.webhook_secret),
        "in hex": digest.hex(),
        "url-safe": base64.urlsafe_b64encode(hashlib.sha256(b"\xff").digest()).decode(),
        "cut": good[:-4],
        "without padding": good.rstrip("="),
        "padded with junk": f"{good[:10]}!{good[10:]}",
        "re-serialised": signature(json.dumps(json.loads(raw), separators=(",", ":")).encode()),
    }.items():
        yield name, signed(raw, Hmac_Sha256=value)
    yield "two signatures", [*signed(raw), ("X-Shopify-Hmac-Sha256", good)]
    yield "two shops", [*signed(raw), ("X-Shopify-Shop-Domain", MIRA.domain)]
    yield "no shop", signed(raw, Shop_Domain=None)
    yield "an unknown shop", signed(raw, Shop_Domain="nobody.myshopify.com")
    yield "no domain", signed(raw, Shop_Domain="' OR 1=1 --")
    yield "the shop of another secret", signed(raw, Shop_Domain=OTHER.domain)


async def test_whoever_is_not_shopify_gets_the_same_401(server: Server, database: Database, mira: Store) -> None:
    await database.write(make_store, OTHER)
    raw = json.dumps(order()).encode()
    with client_of(server) as client:
        replies = {name: client.post(PATH, content=raw, headers=headers) for name, headers in refusals(raw)}
        replies["an empty body"] = client.post(PATH, content=b"", headers=signed(b""))
        odd = [(name.encode(), value.encode()) for name, value in signed(raw, Hmac_Sha256=None)]
        replies["not ASCII"] = client.post(PATH, content=raw, headers=[*odd, (b"X-Shopify-Hmac-Sha256", b"\xe9" * 44)])
    assert {name: reply.status_code for name, reply in replies.items()} == dict.fromkeys(replies, 401)
    assert len({reply.content for reply in replies.values()}) == 1
    assert set(replies["missing"].json()) == {"message", "code"}
    assert await rows_of(database, mira) == []


async def test_the_secret_before_is_good_for_an_hour(server: Server, database: Database, mira: Store) -> None:
    raw = json.dumps(order()).encode()
    for hours_ago, status in ((0, 200), (2, 401)):
        rotated_at = now() - hours_ago * HOUR
        secret = MIRA.webhook_secret
        await database.write(merchants.rotate_secret, mira.id, secret, KEYRING, rotated_at)
        await database.write(merchants.rotate_secret, mira.id, "a newer secret", KEYRING, rotated_at)
        with client_of(server) as client:
            assert client.post(PATH, content=raw, headers=signed(raw)).status_code == status
            newer = signed(raw, Hmac_Sha256=signature(raw, "a newer secret"))
            assert client.post(PATH, content=raw, headers=newer).status_code == 200


async def test_the_secret_of_the_app_is_good_for_every_shop(start_server: Any, mira: Store) -> None:
    server = start_server(CARRYOUT_SHOPIFY_CLIENT_SECRET="the secret of the app")
    raw = json.dumps(order()).encode()
    app_signature = signature(raw, "the secret of the app")
    with client_of(server) as client:
        assert client.post(PATH, content=raw, headers=signed(raw, Hmac_Sha256=app_signature)).status_code == 200
        stranger = signed(raw, Hmac_Sha256=app_signature, Shop_Domain="nobody.myshopify.com")
        assert client.post(PATH, content=raw, headers=stranger).status_code == 401
    assert mira.domain == MIRA.domain


async def test_what_is_not_json_is_a_400(server: Server, database: Database, mira: Store) -> None:
    with client_of(server) as client:
        for raw in (b"{", b"id=1", b"\xff", b'"\xed\xa0\x80"', b"\x1f\x8b\x08"):
            reply = client.post(PATH, content=raw, headers=signed(raw))
            assert (reply.status_code, reply.json()["code"]) == (400, "not_json")
    assert await rows_of(database, mira) == []


async def test_odd_json_is_never_a_500(server: Server, database: Database, mira: Store) -> None:
    bodies = [
        b"[" * 50_000 + b"]" * 50_000,
        b'{"id": 123456789012345678901234}',
        b'{"id": 9223372036854775808}',
        b'{"id": 1, "id": 2, "name": "\\ud800\\u0000", "line_items": [{"id": 1e400}, null, {"id": 3, "quantity": -1}]}',
        b"null",
        b'{"id": 7, "customer": [], "refunds": {"a": 1}, "line_items": "x", "financial_status": {}}',
    ]
    with client_of(server) as client:
        replies = [
            client.post(PATH, content=raw, headers=signed(raw, delivery_id=f"{index}"))
            for index, raw in enumerate(bodies)
        ]
    assert [reply.status_code for reply in replies] == [200] * len(bodies)
    rows = await rows_of(database, mira)
    assert len(rows) == len(bodies)
    assert all(row.reason for row in rows)


@SQLITE
async def test_ten_mebibytes_are_taken_and_no_byte_more(server: Server, database: Database, mira: Store) -> None:
    raw = json.dumps(order(note="")).encode()
    full = raw.replace(b'"note": ""', b'"note": "%b"' % (b"x" * (BODY_LIMIT_BYTES - len(raw))))
    assert len(full) == BODY_LIMIT_BYTES
    with client_of(server) as client:
        assert client.post(PATH, content=full, headers=signed(full)).status_code == 200
        more = full + b" "
        assert client.post(PATH, content=more, headers=signed(more)).status_code == 413
        chunked = client.post(PATH, content=iter([raw[:100], raw[100:]]), headers=signed(raw, delivery_id="chunked"))
        assert chunked.status_code == 200
    assert len(await rows_of(database, mira)) == 2


@SQLITE
def test_a_declared_giant_is_refused_before_it_is_read(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {64 * 1024 * 1024}\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 413")


async def test_the_same_delivery_many_times_at_once_is_taken_once(
    server: Server, database: Database, mira: Store
) -> None:
    raw = json.dumps(order()).encode()
    async with httpx.AsyncClient(base_url=server.base_url, timeout=20) as client:
        replies = await asyncio.gather(*(client.post(PATH, content=raw, headers=signed(raw)) for _ in range(10)))
    assert sorted(reply.json()["status"] for reply in replies) == ["applied", *["duplicate"] * 9]
    (row,) = await rows_of(database, mira)
    assert row.outcome is Outcome.APPLIED
