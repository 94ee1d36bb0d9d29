"""An installation with something behind every door: an order for each verdict, links to them, and a shop that signs."""

import asyncio
import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from carryout import clock
from carryout.app import open_house
from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.clock import DAY
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.merchants import service as merchants
from carryout.merchants.model import Dialect, Store
from carryout.orders import service as orders
from carryout.orders.model import Standing
from carryout.sessions import service as sessions
from carryout.sessions.model import Client, Delivery, Opened
from carryout.settings import Settings
from carryout.storage import Blob
from carryout.tickets import Links, Ticket, TicketKind, Tickets
from tests.cast import MIRA, NOW, OTHER
from tests.catalog.makers import make_products
from tests.merchants.callers import make_key
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import make_order

POOR: Final = "poor.myshopify.com"
CONTENT: Final = b"It was a dark and stormy night. " * 64
# Every order is named for what is wrong with it.
_STANDINGS: Final = {
    "paid": Standing.PAID,
    "pending": Standing.PENDING,
    "cancelled": Standing.CANCELLED,
    "refunded": Standing.REFUNDED,
    "blocked": Standing.PAID,
    "expired": Standing.PAID,
    "unreleased": Standing.PAID,
    "spent": Standing.PAID,
}
_FATES: Final = ("open", "lost", "stopped", "ended")


@dataclass(frozen=True)
class Scene:
    """What a test may ask for. `links` are paths of download links; `poor` is a token under a plan without any.

    `pages` are the ticket of each order's page and its first grant. `downloads` are tickets of sessions: one that is
    open, one whose file is lost, one that was stopped, one that has ended. `key` and `old_key` open Mira's store, of
    which `ids` are what the merchant API names, by the part of the path before: `ids["assets"]`; `other_key` opens the
    other merchant's.
    """

    tokens: tuple[str, ...]
    poor: str
    links: tuple[str, ...]
    pages: tuple[tuple[str, str], ...]
    downloads: tuple[str, ...]
    key: str
    old_key: str
    other_key: str
    ids: Mapping[str, tuple[str, ...]]

    @property
    def tickets(self) -> list[tuple[str, str]]:
        """Ticket and file name of every link."""
        return [(link.split("/")[2], link.split("/")[3]) for link in self.links]


def set_scene(settings: Settings) -> Scene:
    """Fill the installation."""
    return asyncio.run(_set_scene(settings))


async def _set_scene(settings: Settings) -> Scene:
    house = open_house(settings, KEYRING)
    try:
        store = await house.database.write(make_store, MIRA)
        other = await house.database.write(make_store, OTHER)
        blob = await house.storage.put(store.uid, _once(CONTENT))
        links, pages = await house.database.write(_fill, store, blob)
        downloads = [await house.database.write(_open_session, store, fate) for fate in _FATES]
        poor = await house.database.write(_fill_poor)
        key = await house.database.write(make_key, store)
        old_key = await house.database.write(make_key, store, Dialect.OLD)
        other_key = await house.database.write(make_key, other)
        ids = await house.database.read(_list_ids, store)
    finally:
        await house.database.close()
    tokens = tuple(_token(name) for name in _STANDINGS)
    return Scene(tokens, poor, tuple(links), tuple(pages), tuple(downloads), key, old_key, other_key, ids)


async def _list_ids(tx: Tx, store: Store) -> dict[str, tuple[str, ...]]:
    assets = await catalog.list_assets(tx, store.id)
    products = await catalog.list_by_variant(tx, store.id, [101, 102, 201])
    return {"assets": tuple(asset.uid for asset in assets), "products": tuple(row.uid for row in products)}


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _fill(tx: Tx, store: Store, blob: Blob) -> tuple[list[str], list[tuple[str, str]]]:
    await make_products(tx, store.id)
    for asset in await _make_assets(tx, store, blob):
        await catalog.attach(tx, store.id, asset.id, skus=["book-epub"], now=NOW)
    links: list[str] = []
    pages: list[tuple[str, str]] = []
    for number, (name, standing) in enumerate(_STANDINGS.items(), 1):
        order = await make_order(tx, store, shopify_id=number, token=_token(name), standing=standing)
        await entitlements.regrant(tx, store, order.id, NOW)
        match name:
            case "blocked":
                await orders.block(tx, store.id, order.id, NOW)
            case "expired":
                await orders.set_terms(tx, store.id, order, {"expires_at": DAY})
            case "unreleased":
                await orders.set_terms(tx, store.id, order, {"release_at": NOW + 10_000 * DAY})
            case "spent":
                await orders.set_terms(tx, store.id, order, {"downloads": 0})
        links += await _links(tx, store, order.id, 3 if name == "paid" else 1)
        pages.append(await _page(tx, store, order.id))
    return links, pages


async def _links(tx: Tx, store: Store, order_id: int, count: int) -> list[str]:
    """The first links of an order."""
    view = await entitlements.view_by_id(tx, store.id, order_id)
    links = Links(Tickets(KEYRING), "http://host")
    return [
        urlsplit(links.grant(store.id, grant.id, view.order.link_generation, grant.filename)).path
        for grant in view.grants[:count]
    ]


async def _open_session(tx: Tx, store: Store, fate: str) -> str:
    """The ticket of a download of an order of its own, and what became of it."""
    number = 1000 + _FATES.index(fate)
    order = await make_order(tx, store, shopify_id=number, token=_token(fate))
    await entitlements.regrant(tx, store, order.id, NOW)
    grants = (await entitlements.view_by_id(tx, store.id, order.id)).grants
    client = Client(tuple(KEYRING.digests("address", "127.0.0.1")))
    grant = Ticket(store.id, grants[1 if fate == "lost" else 0].id, order.link_generation)
    opened = await sessions.decide(tx, grant, client, None, Delivery.SENT, clock.now())
    assert isinstance(opened, Opened)
    if fate == "stopped":
        await orders.block(tx, store.id, order.id, NOW)
    if fate == "ended":
        await sessions.settle_order(tx, store.id, order.id, clock.now() + 2 * DAY)
    return Tickets(KEYRING).issue(TicketKind.SESSION, store.id, opened.session.id, order.link_generation)


async def _page(tx: Tx, store: Store, order_id: int) -> tuple[str, str]:
    view = await entitlements.view_by_id(tx, store.id, order_id)
    ticket = Tickets(KEYRING).issue(TicketKind.ORDER, store.id, order_id, view.order.link_generation)
    return ticket, view.grants[0].uid


async def _make_assets(tx: Tx, store: Store, blob: Blob) -> list[Asset]:
    return [
        await catalog.add_file(tx, store.id, "Bücher & más.epub", blob, NOW),
        await catalog.add_file(tx, store.id, "song.mp3", Blob(b"\1" * 32, 1, 10_000), NOW),
        await catalog.add_link(tx, store.id, "https://example.com/film", "The film", None, NOW),
    ]


async def _fill_poor(tx: Tx) -> str:
    plans = ("free", "premium")
    store, _ = await merchants.create(tx, KEYRING, "Poor", POOR, None, "free", plans, NOW)
    await make_order(tx, store, token=_token("poor"))
    return _token("poor")


def _token(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def signature(raw: bytes, secret: str = OTHER.webhook_secret) -> str:
    """What the other merchant's shop would sign this body with."""
    return b64encode(hmac.digest(secret.encode(), raw, "sha256")).decode()


def webhook(raw: bytes, topic: str | bytes = "orders/create", **more: str | bytes) -> httpx.Request:
    """A delivery to the other merchant's store, rightly signed; `more` are headers (`webhook_id`) or other values."""
    headers: dict[str, str | bytes] = {"hmac-sha256": signature(raw), "shop-domain": OTHER.domain, "topic": topic}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    named = [(f"X-Shopify-{name}".encode(), _as_bytes(value)) for name, value in headers.items()]
    return httpx.Request("POST", "http://host/webhooks/shopify", headers=named, content=raw)


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else value


def order_body(**changes: object) -> dict[str, object]:
    """A small order, as Shopify sends it."""
    body: dict[str, object] = {
        "id": 6_198_424_240_428,
        "token": _token("sent"),
        "order_number": 1053,
        "financial_status": "paid",
        "created_at": "2026-11-20T08:00:00Z",
        "updated_at": "2026-11-20T08:00:01Z",
        "line_items": [{"id": 1, "product_id": 100, "variant_id": 101, "title": "Book", "quantity": 1}],
    }
    return body | changes


def dumped(body: object) -> bytes:
    """JSON as Python writes it: lone surrogates and NUL as escapes."""
    return json.dumps(body).encode()
