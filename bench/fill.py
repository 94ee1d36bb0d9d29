"""Fill Carryout's tables: `fill.py DATABASE_URL COUNT`, after `carryout migrate` and `carryout store create`."""

import asyncio
import hashlib
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orders as shop
from sqlalchemy import Connection, Table, create_engine, event, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from carryout.db import tables

BATCH = 20_000
MICROSECONDS = 1_000_000
STORED_PERSON = bytes(110)  # as long as a sealed name and address; never opened here
Row = dict[str, Any]


def fill(connection: Connection, count: int) -> None:
    """Insert the shop with its first `count` orders."""
    store_id = connection.execute(select(tables.stores.c.id).where(tables.stores.c.domain == shop.DOMAIN)).scalar_one()
    stock = shop.products()
    rows: dict[Table, Iterator[Row]] = {
        tables.products: (product_row(store_id, product) for product in stock),
        tables.assets: (asset_row(store_id, product) for product in stock),
        tables.versions: (version_row(store_id, product) for product in stock),
        tables.attachments: (attachment_row(store_id, product) for product in stock),
    }
    for table, found in rows.items():
        connection.execute(insert(table), list(found))
    orders = shop.orders(count)
    while batch := list(islice(orders, BATCH)):
        insert_orders(connection, store_id, batch)
    finish(connection)


def insert_orders(connection: Connection, store_id: int, batch: list[shop.Order]) -> None:
    """Orders, their lines and grants."""
    lines, grants = [], []
    for order in batch:
        for position, line in enumerate(order.lines):
            line_id = order.number * shop.LINES_PER_ORDER + position + 1
            lines.append(line_row(store_id, order, line, position, line_id))
            grants.append(grant_row(store_id, order, line, line_id))
    connection.execute(insert(tables.orders), [order_row(store_id, order) for order in batch])
    connection.execute(insert(tables.lines), lines)
    connection.execute(insert(tables.grants), grants)


def finish(connection: Connection) -> None:
    """Statistics for the planner, and the sequences moved past the ids that were given."""
    if connection.dialect.name == "postgresql":
        for name in ("products", "assets", "versions", "orders", "lines", "grants"):
            move = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))"  # noqa: S608 - our names
            connection.execute(text(move))
    connection.execute(text("ANALYZE"))


def product_row(store_id: int, product: shop.Product) -> Row:
    """A row of `products`."""
    fields = ("uid", "product_id", "variant_id", "name", "variant_name", "sku", "vendor")
    return {
        "id": product.number + 1,
        "store_id": store_id,
        **{field: getattr(product, field) for field in fields},
        "tags": "[" + ",".join(f'"{tag}"' for tag in product.tags) + "]",
        "is_synced": True,
        "updated_at": shop.ORDERED_AT * MICROSECONDS,
    }


def asset_row(store_id: int, product: shop.Product) -> Row:
    """A row of `assets`."""
    return {
        "id": product.number + 1,
        "uid": product.asset_uid,
        "store_id": store_id,
        "is_link": False,
        "filename": product.filename,
        "version_id": product.number + 1,
        "created_at": shop.ORDERED_AT * MICROSECONDS,
    }


def version_row(store_id: int, product: shop.Product) -> Row:
    """A row of `versions`; no file stands behind it, since no download is measured."""
    return {
        "id": product.number + 1,
        "store_id": store_id,
        "asset_id": product.number + 1,
        "number": 1,
        "sha256": hashlib.sha256(product.uid.encode()).digest(),
        "crc32": product.number,
        "size_bytes": product.size_bytes,
        "completed_at": shop.ORDERED_AT * MICROSECONDS,
    }


def attachment_row(store_id: int, product: shop.Product) -> Row:
    """A row of `attachments`."""
    return {
        "store_id": store_id,
        "asset_id": product.number + 1,
        "product_id": product.product_id,
        "variant_id": product.variant_id,
        "applies_from": 0,
        "created_at": shop.ORDERED_AT * MICROSECONDS,
    }


def order_row(store_id: int, order: shop.Order) -> Row:
    """A row of `orders`."""
    ordered_at = order.ordered_at * MICROSECONDS
    return {
        "id": order.number + 1,
        "uid": order.uid,
        "store_id": store_id,
        "shopify_id": order.shopify_id,
        "order_number": order.order_number,
        "name": f"#{order.order_number}",
        "token_digest": hashlib.sha256(order.token.encode()).digest(),
        "standing": "paid",
        "locale": "en",
        "ordered_at": ordered_at,
        "updated_at": ordered_at,
        "triggered_at": ordered_at,
        "standing_rank": 1,
        "person": STORED_PERSON,
        "created_at": ordered_at,
    }


def line_row(store_id: int, order: shop.Order, line: shop.Line, position: int, line_id: int) -> Row:
    """A row of `lines`; its stamp is the order's, so the line is still on it."""
    ordered_at = order.ordered_at * MICROSECONDS
    return {
        "id": line_id,
        "store_id": store_id,
        "order_id": order.number + 1,
        "line_item_id": line.line_item_id,
        "position": position,
        "product_id": line.product.product_id,
        "variant_id": line.product.variant_id,
        "name": line.product.name,
        "quantity": 1,
        "current_quantity": 1,
        "remaining": 1,
        "updated_at": ordered_at,
        "triggered_at": ordered_at,
        "standing_rank": 1,
    }


def grant_row(store_id: int, order: shop.Order, line: shop.Line, line_id: int) -> Row:
    """A row of `grants`."""
    return {
        "id": line_id,
        "uid": line.grant_uid,
        "store_id": store_id,
        "order_id": order.number + 1,
        "line_id": line_id,
        "asset_id": line.product.number + 1,
        "used": line.used,
        "base_downloads": shop.DOWNLOAD_LIMIT,
        "is_per_unit": False,
        "created_at": order.ordered_at * MICROSECONDS,
    }


def fill_sqlite(url: str, count: int) -> None:
    """Without waiting for the disk: a fill that is cut short is begun again."""
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-1000000")

    with engine.begin() as connection:
        fill(connection, count)
    with engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    engine.dispose()


async def fill_postgresql(url: str, count: int) -> None:
    """In one transaction, through asyncpg."""
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(fill, count)
    await engine.dispose()


if __name__ == "__main__":
    _url, _count = sys.argv[1], int(sys.argv[2])
    if _url.startswith("sqlite"):
        fill_sqlite(_url, _count)
    else:
        asyncio.run(fill_postgresql(_url, _count))
