"""Fill the typical implementation's database: `python -m typical.fill COUNT`, its address being in the environment."""

import asyncio
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orders as shop
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from typical.database import engine
from typical.models import Asset, Attachment, Base, Grant, Line, Order, Product

BATCH = 5_000
Rows = list[dict[str, Any]]


async def main(count: int) -> None:
    """Make the tables and insert the shop with its first `count` orders."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await insert_products(connection)
    orders = shop.orders(count)
    while batch := list(islice(orders, BATCH)):
        async with engine.begin() as connection:
            await insert_orders(connection, batch)
    async with engine.begin() as connection:
        await finish(connection)
    await engine.dispose()


async def insert_products(connection: AsyncConnection) -> None:
    """Products, assets and what is attached to what."""
    stock = shop.products()
    await connection.execute(insert(Product), [product_row(product) for product in stock])
    await connection.execute(insert(Asset), [asset_row(product) for product in stock])
    pairs = [{"product_id": product.number + 1, "asset_id": product.number + 1} for product in stock]
    await connection.execute(insert(Attachment), pairs)


async def insert_orders(connection: AsyncConnection, batch: list[shop.Order]) -> None:
    """Orders, their lines and grants."""
    lines: Rows = []
    grants: Rows = []
    for order in batch:
        for position, line in enumerate(order.lines):
            line_id = order.number * shop.LINES_PER_ORDER + position + 1
            lines.append(line_row(order, line, position, line_id))
            grants.append(grant_row(line, line_id))
    await connection.execute(insert(Order), [order_row(order) for order in batch])
    await connection.execute(insert(Line), lines)
    await connection.execute(insert(Grant), grants)


async def finish(connection: AsyncConnection) -> None:
    """Statistics for the planner, and the sequences moved past the ids that were given."""
    if engine.dialect.name == "postgresql":
        for table in ("products", "assets", "orders", "lines", "grants"):
            await connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")  # noqa: S608 - our names
            )
    await connection.execute(text("ANALYZE"))


def product_row(product: shop.Product) -> dict[str, Any]:
    """A row of `products`."""
    fields = ("uid", "product_id", "variant_id", "name", "variant_name", "sku", "vendor", "tags")
    return {"id": product.number + 1, **{field: getattr(product, field) for field in fields}}


def asset_row(product: shop.Product) -> dict[str, Any]:
    """A row of `assets`."""
    return {
        "id": product.number + 1,
        "uid": product.asset_uid,
        "filename": product.filename,
        "size_bytes": product.size_bytes,
        "is_link": False,
        "download_limit": shop.DOWNLOAD_LIMIT,
    }


def order_row(order: shop.Order) -> dict[str, Any]:
    """A row of `orders`."""
    ordered_at = datetime.fromtimestamp(order.ordered_at, UTC)
    return {
        "id": order.number + 1,
        "uid": order.uid,
        "shopify_id": order.shopify_id,
        "order_number": order.order_number,
        "token": order.token,
        "email": "reader@example.com",
        "financial_status": "paid",
        "cancelled_at": None,
        "ordered_at": ordered_at,
        "updated_at": ordered_at,
    }


def line_row(order: shop.Order, line: shop.Line, position: int, line_id: int) -> dict[str, Any]:
    """A row of `lines`."""
    return {
        "id": line_id,
        "order_id": order.number + 1,
        "product_id": line.product.number + 1,
        "line_item_id": line.line_item_id,
        "position": position,
        "quantity": 1,
    }


def grant_row(line: shop.Line, line_id: int) -> dict[str, Any]:
    """A row of `grants`."""
    return {
        "id": line_id,
        "uid": line.grant_uid,
        "line_id": line_id,
        "asset_id": line.product.number + 1,
        "used": line.used,
        "download_limit": shop.DOWNLOAD_LIMIT,
    }


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
