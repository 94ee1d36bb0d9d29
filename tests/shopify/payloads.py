"""Payloads of tests: the documented and the real ones, and a small order that a test bends to its needs."""

import json
from pathlib import Path
from typing import Any, Final

from carryout.clock import SECOND, iso
from carryout.shopify.model import Delivery
from tests.cast import BEA, NOW

DATA: Final = Path(__file__).parent.parent / "data" / "shopify"
REAL: Final = tuple(sorted((DATA / "real").glob("*.json")))
DOCUMENTED: Final = tuple(sorted((DATA / "documented").glob("*.json")))
FULL_ORDERS: Final = (
    "orders/create", "orders/paid", "orders/updated", "orders/fulfilled", "orders/cancelled",
)  # fmt: skip
ORDER_ID: Final = 6_198_424_240_428
LINE_ID: Final = 15_514_960_888_108
OTHER_LINE_ID: Final = LINE_ID + 1
VARIANT_ID: Final = 50_398_373_085_484
CUSTOMER_ID: Final = 191_167
TOKEN: Final = "b835a6e4fd2be636c2780cb6c9bdf712"


def topic_of(path: Path) -> str:
    """`orders__paid.json` is `orders/paid`."""
    return path.name.split(".")[0].replace("__", "/")


def documented(topic: str) -> bytes:
    """The example of Shopify's documentation."""
    return (DATA / "documented" / f"{topic.replace('/', '__')}.json").read_bytes()


def order(**changes: Any) -> dict[str, Any]:
    """Bea's paid order of two lines."""
    body: dict[str, Any] = {
        "id": ORDER_ID,
        "token": TOKEN,
        "order_number": 1053,
        "name": "#1053",
        "financial_status": "paid",
        "cancelled_at": None,
        "created_at": "2026-11-20T08:00:00Z",
        "updated_at": "2026-11-20T08:00:01Z",
        "customer_locale": "en",
        "email": BEA.email,
        "customer": {"id": CUSTOMER_ID, "email": BEA.email, "first_name": "Bea", "last_name": "Buyer"},
        "line_items": [line(), line(id=OTHER_LINE_ID, variant_id=VARIANT_ID + 1, sku="SKU-2")],
        "refunds": [],
    }
    return body | changes


def line(**changes: Any) -> dict[str, Any]:
    """One line of it."""
    body = {
        "id": LINE_ID,
        "product_id": 9_782_123_692_332,
        "variant_id": VARIANT_ID,
        "title": "Field recordings",
        "variant_title": "Lossless",
        "sku": "SKU-1",
        "vendor": "Mira",
        "quantity": 2,
        "current_quantity": 2,
    }
    return body | changes


def refund(refund_id: int = 1, line_item_id: int = LINE_ID, quantity: int = 2) -> dict[str, Any]:
    """A refund of one line."""
    return {
        "id": refund_id,
        "order_id": ORDER_ID,
        "refund_line_items": [{"line_item_id": line_item_id, "quantity": quantity}],
    }


def redaction(**changes: Any) -> dict[str, Any]:
    """Bea wants to be forgotten."""
    body: dict[str, Any] = {"customer": {"id": CUSTOMER_ID, "email": BEA.email}, "orders_to_redact": [ORDER_ID]}
    return body | changes


def at(second: int) -> str:
    """A time of the story, as Shopify writes it."""
    return iso(NOW - 100 * SECOND + second * SECOND)


def delivery(topic: str, body: Any, delivery_id: str = "delivery 1", second: int = 1) -> Delivery:
    """A delivery of this body (bytes, or what is dumped as JSON), triggered at a second of the story."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    triggered_at = NOW - 100 * SECOND + second * SECOND
    return Delivery(delivery_id=delivery_id, topic=topic, raw=raw, triggered_at=triggered_at, received_at=NOW)
