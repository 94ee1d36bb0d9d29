"""`carryout demo`: a small shop to try things on, filled in by the ways that real ones are."""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import AsyncIterator
from importlib.resources import files
from shlex import quote
from typing import Any, Final

import msgspec

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.cli import demo_files
from carryout.cli.assets import reach
from carryout.cli.ingest import make_intake
from carryout.cli.output import AsJson, print_json
from carryout.cli.session import Session, run
from carryout.clock import now
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.merchants import service as merchants
from carryout.merchants.model import Dialect, Store
from carryout.orders import service as orders
from carryout.storage import Blob
from carryout.tickets import Links

DOMAIN: Final = "demo-shop.myshopify.com"
_NAME: Final = "Demo Shop"
_PRODUCTS: Final = ("sounds-mp3", "guide-green", "guide-orange", "film-red", "care-aviator")
_ORDERS: Final = (1053, 1071, 1065, 1234)
# SKU, name, content and the asset's own limit of downloads.
_FILES: Final = (
    ("SOUNDS-MP3", "Winter sounds.mp3", demo_files.mp3, None),
    ("GUIDE-GREEN", "Green Snowboard - riding guide.pdf", demo_files.pdf, None),
    ("GUIDE-ORANGE", "Orange Snowboard - riding guide.epub", demo_files.epub, 5),
    ("CARE-AVIATOR", "Aviator care sheet.txt", demo_files.text, None),
)
_LINK: Final = ("FILM-RED", "Red Snowboard - the film", "https://example.com/films/red-snowboard")
# What the printed webhook brings: a new order of the shop.
_NEW_ORDER: Final = {
    "id": 6200407299001,
    "order_number": 1072,
    "name": "#1072",
    "token": "0c732eb6fd9802a0821a9d29888baee8",
    "financial_status": "paid",
    "created_at": "2025-01-24T09:00:00-05:00",
    "updated_at": "2025-01-24T09:00:00-05:00",
    "line_items": [
        {
            "id": 15518907999001,
            "product_id": 9797441945900,
            "variant_id": 50451770802476,
            "sku": "GUIDE-GREEN",
            "title": "Green Snowboard",
            "quantity": 1,
        }
    ],
}


def demo(*, as_json: AsJson = False) -> None:
    """Fill the database with a store, products, files and paid orders to try. Again it changes nothing."""
    document, commands = run(_demo)
    if as_json:
        print_json(document)
        return
    key = document["key"] or "shown when the demo was made; `carryout key create` makes another"
    print(f"Store        {document['name']} ({document['domain']}), id {document['store']}")
    print(f"API key      {key}")
    print(f"Order token  {document['orders'][0]['token']} (order {document['orders'][0]['order_number']})")
    print("\nWith `carryout serve` running, try:")
    for words, command in commands:
        print(f"\n# {words}\n{command}")
    print()


async def _demo(session: Session) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    store, key = await _make_store(session)
    for name in _PRODUCTS:
        await make_intake(session).ingest(store, "products/create", _payload(f"product-{name}"))
    await _make_assets(session, store)
    payloads = [_payload(f"order-{number}") for number in _ORDERS]
    for payload in payloads:
        await make_intake(session).ingest(store, "orders/paid", payload)
    shown = [await _describe(session, store, msgspec.json.decode(payload)) for payload in payloads]
    document = {"store": store.uid, "name": store.name, "domain": store.domain, "key": key, "orders": shown}
    return document, await _commands(session, store, shown[0])


async def _make_store(session: Session) -> tuple[Store, str | None]:
    """The store, and its key if it has none yet."""
    try:
        store = await session.find_store(DOMAIN)
    except merchants.StoreUnknown:
        store, _ = await session.database.write(
            merchants.create, session.keyring, _NAME, DOMAIN, None, "premium", session.settings.plans, now()
        )
    if any(key.store_uid == store.uid for key in await session.database.read(merchants.list_keys)):
        return store, None
    _, key = await session.database.write(
        merchants.create_key, store.id, "demo", Dialect.NEW, "read,write", None, now()
    )
    return store, key


async def _make_assets(session: Session, store: Store) -> None:
    """Those that are not there yet."""
    there = {asset.filename for asset in await session.database.read(catalog.list_assets, store.id)}
    for sku, name, content, downloads in _FILES:
        if name not in there:
            blob = await session.storage.put(store.uid, _once(content()))
            await reach(session, store, [await session.database.write(_add_file, store, sku, name, blob, downloads)])
    if _LINK[1] not in there:
        await reach(session, store, [await session.database.write(_add_link, store)])


async def _add_file(tx: Tx, store: Store, sku: str, name: str, blob: Blob, downloads: int | None) -> Asset:
    made = await catalog.add_file(tx, store.id, name, blob, now())
    if downloads is not None:
        await catalog.set_limits(tx, store.id, made.id, [("downloads", str(downloads))])
    await entitlements.attach(tx, store, made.id, skus=[sku], now=now())
    return made


async def _add_link(tx: Tx, store: Store) -> Asset:
    sku, name, url = _LINK
    made = await catalog.add_link(tx, store.id, url, name, None, now())
    await entitlements.attach(tx, store, made.id, skus=[sku], now=now())
    return made


async def _describe(session: Session, store: Store, payload: dict[str, Any]) -> dict[str, Any]:
    order = await session.database.read(orders.find, store.id, str(payload["id"]))
    links = Links(session.tickets, session.base_url)
    return {
        "order_number": order.order_number,
        "token": payload["token"],
        "api_url": f"{session.base_url}/api/v2/customer-account-orders?id={payload['token']}",
        "page_url": links.order(store.id, order.id, order.link_generation),
    }


async def _commands(session: Session, store: Store, order: dict[str, Any]) -> list[tuple[str, str]]:
    """What can be pasted into a shell: an order's files, one of them, and a webhook with its signature."""
    found = await session.database.read(orders.find, store.id, str(order["order_number"]))
    view = await session.database.read(entitlements.view_by_id, store.id, found.id)
    grant, links = view.grants[0], Links(session.tickets, session.base_url)
    file_url = links.grant(store.id, grant.id, found.link_generation, grant.filename)
    body = msgspec.json.encode(_NEW_ORDER)
    return [
        ("what the order holds", f"curl {quote(order['api_url'])}"),
        ("its first file", f"curl -LOJ {quote(file_url)}"),
        (f"a paid order coming in; its token is {_NEW_ORDER['token']}", await _webhook(session, store, body)),
    ]


async def _webhook(session: Session, store: Store, body: bytes) -> str:
    signed = await session.database.read(merchants.find_by_domain, session.keyring, store.domain, now())
    secret = b"" if signed is None else signed.secrets[0]
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": "orders/paid",
        "X-Shopify-Shop-Domain": store.domain,
        "X-Shopify-Webhook-Id": "demo-1072",
        "X-Shopify-Hmac-Sha256": b64encode(hmac.digest(secret, body, hashlib.sha256)).decode(),
    }
    words = " ".join(f"-H {quote(f'{name}: {value}')}" for name, value in headers.items())
    return f"curl -i -X POST {session.base_url}/webhooks/shopify {words} --data-binary {quote(body.decode())}"


def _payload(name: str) -> bytes:
    return (files("carryout.cli") / "demo_data" / f"{name}.json").read_bytes()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
