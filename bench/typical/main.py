"""The application: the customer endpoint and the order webhook."""

import base64
import hashlib
import hmac
import os
import uuid
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from typical.database import SessionDep
from typical.models import Delivery, Grant, Line, Order, Product
from typical.schemas import (
    AssetData,
    AssetOut,
    CustomerOrder,
    Limits,
    LineOut,
    OrderOut,
    OrderPayload,
    PageText,
    ProductOut,
)

BASE_URL = os.environ["TYPICAL_BASE_URL"]
SECRET_KEY = os.environ["TYPICAL_SECRET_KEY"].encode()
WEBHOOK_SECRET = os.environ["TYPICAL_WEBHOOK_SECRET"].encode()
TEXT = PageText(title=os.environ["TYPICAL_TITLE"], text=os.environ["TYPICAL_TEXT"])
# The asyncio chapter of SQLAlchemy's documentation loads everything by SELECT IN; its chapter on relationship loading
# prefers a join for what there is one of. `TYPICAL_JOINED` measures that too.
one_of = joinedload if os.environ.get("TYPICAL_JOINED") else selectinload
LOADING = (
    selectinload(Order.lines).options(one_of(Line.product), selectinload(Line.grants).options(one_of(Grant.asset))),
)

app = FastAPI(title="Downloads")
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET"])


@app.get("/api/v2/customer-account-orders", response_model=CustomerOrder)
async def customer_account_orders(
    session: SessionDep, response: Response, token: Annotated[str, Query(alias="id")]
) -> CustomerOrder:
    """The download links of one order."""
    order = await session.scalar(select(Order).where(Order.token == token).options(*LOADING))
    if order is None:
        raise HTTPException(status_code=404, detail="Order not found")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    lines = [
        LineOut(product=product_out(line.product), assets=[asset_out(order, grant) for grant in line.grants])
        for line in order.lines
    ]
    return CustomerOrder(order=OrderOut(order_number=order.order_number, lines=lines, assets=[], text=TEXT), text=TEXT)


@app.post("/webhooks/shopify")
async def shopify_webhook(
    request: Request,
    session: SessionDep,
    x_shopify_hmac_sha256: Annotated[str, Header()],
    x_shopify_webhook_id: Annotated[str, Header()],
    x_shopify_topic: Annotated[str, Header()],
) -> dict[str, bool]:
    """Record an order with its lines and grants, once a webhook id."""
    body = await request.body()
    expected = base64.b64encode(hmac.new(WEBHOOK_SECRET, body, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected, x_shopify_hmac_sha256):
        raise HTTPException(status_code=401, detail="Bad signature")
    try:
        payload = OrderPayload.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(status_code=422, detail="Not an order") from error
    session.add(
        Delivery(
            webhook_id=x_shopify_webhook_id, topic=x_shopify_topic, payload=body.decode(), received_at=datetime.now(UTC)
        )
    )
    try:
        await session.flush()
    except IntegrityError:
        return {"ok": True}
    await record(session, payload)
    await session.commit()
    return {"ok": True}


async def record(session: AsyncSession, payload: OrderPayload) -> None:
    """Update a known order, or insert it with its lines and grants."""
    order = await session.scalar(select(Order).where(Order.shopify_id == payload.id))
    if order is not None:
        if payload.updated_at > order.updated_at.replace(tzinfo=order.updated_at.tzinfo or UTC):
            order.financial_status = payload.financial_status
            order.cancelled_at = payload.cancelled_at
            order.updated_at = payload.updated_at
        return
    variant_ids = [item.variant_id for item in payload.line_items]
    found = await session.scalars(
        select(Product).where(Product.variant_id.in_(variant_ids)).options(selectinload(Product.assets))
    )
    products = {product.variant_id: product for product in found}
    order = Order(
        uid=str(uuid.uuid4()),
        shopify_id=payload.id,
        order_number=payload.order_number,
        token=payload.token,
        email=payload.email,
        financial_status=payload.financial_status,
        cancelled_at=payload.cancelled_at,
        ordered_at=payload.created_at,
        updated_at=payload.updated_at,
    )
    for position, item in enumerate(payload.line_items):
        product = products[item.variant_id]
        line = Line(line_item_id=item.id, position=position, quantity=item.quantity, product=product)
        line.grants = [
            Grant(uid=str(uuid.uuid4()), asset=asset, download_limit=asset.download_limit) for asset in product.assets
        ]
        order.lines.append(line)
    session.add(order)


def product_out(product: Product) -> ProductOut:
    """A product as the contract shows it."""
    return ProductOut(
        id=product.uid,
        name=product.name,
        variant_name=product.variant_name,
        sku=product.sku,
        product_id=product.product_id,
        variant_id=product.variant_id,
        vendor=product.vendor,
        tags=product.tags,
    )


def asset_out(order: Order, grant: Grant) -> AssetOut:
    """An asset with its counter, and its link while it may be used."""
    asset = grant.asset
    is_allowed = (
        order.financial_status == "paid"
        and order.cancelled_at is None
        and (grant.download_limit is None or grant.used < grant.download_limit)
    )
    return AssetOut(
        limits=Limits(downloaded=grant.used, limit=grant.download_limit),
        data=AssetData(
            id=asset.uid,
            filename=asset.filename,
            size=display_size(asset.size_bytes),
            is_file=not asset.is_link,
            is_link=asset.is_link,
            url=download_url(grant) if is_allowed else None,
        ),
    )


def download_url(grant: Grant) -> str:
    """A signed link that names the grant."""
    message = f"{grant.id}".encode()
    signature = hmac.new(SECRET_KEY, message, hashlib.sha256).digest()[:16]
    ticket = base64.urlsafe_b64encode(message + b"." + signature).decode().rstrip("=")
    return f"{BASE_URL}/d/{ticket}/{quote(grant.asset.filename)}"


def display_size(size_bytes: int) -> str:
    """A size for people."""
    size = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if size < 1024:  # noqa: PLR2004 - the step between the units
            return f"{size:.3g}{unit}"
        size /= 1024
    return f"{size:.3g}GB"
