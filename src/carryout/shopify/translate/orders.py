"""What payloads say of orders: `orders/*` and `refunds/create`, and the fraud assessments of an order."""

import re
from collections.abc import Iterable
from typing import Final

from carryout.merchants.model import RiskLevel
from carryout.orders.model import LineFacts, OrderFacts, Person, RefundFacts, Stamp, Standing
from carryout.shopify.model import OrderDeleted, OrderEdited, OrderRefunded, RiskAssessed, Subject, Translation
from carryout.shopify.translate.reading import MAX_QUANTITY, Reader, as_id, clean

RANKS: Final = {Standing.PENDING: 0, Standing.PAID: 1, Standing.REFUNDED: 2, Standing.CANCELLED: 3}
DEFAULT_VARIANT: Final = "Default Title"

_STANDINGS: Final = {
    "paid": Standing.PAID,
    "partially_refunded": Standing.PAID,
    "pending": Standing.PENDING,
    "authorized": Standing.PENDING,
    "partially_paid": Standing.PENDING,
    "refunded": Standing.REFUNDED,
    "voided": Standing.CANCELLED,
    "expired": Standing.CANCELLED,
}
_LEVELS: Final = {
    "low": RiskLevel.LOW,
    "medium": RiskLevel.MEDIUM,
    "high": RiskLevel.HIGH,
    "none": RiskLevel.NONE,
    "pending": RiskLevel.NONE,
}
_STATUS_PATH: Final = re.compile(
    r"https?://[^/?#]+/(?:[0-9]+/)?(?:account/)?orders/([^/?#]+)(?:/authenticate)?/?(?:[?#].*)?"
)
_EMAIL_CHARS: Final = 320
_LOCALE_CHARS: Final = 35
_SKU_CHARS: Final = 255  # an index entry of PostgreSQL holds 2,700 bytes
_TOKEN_CHARS: Final = 1000
_KEY_CHARS: Final = 200
_PROVIDER_KEYS: Final = ("id", "admin_graphql_api_id", "title", "name")
_SHOPIFY: Final = "shopify"


def translate_order(payload: object, triggered_at: int, received_at: int) -> Translation:
    """The order in a full payload. Without an id there is nothing to record.

    The order's date is `created_at`, else `processed_at`: an order imported from elsewhere counts from its import.
    Without `updated_at` its facts are as old as the trigger says.
    """
    notes: list[str] = []
    order = Reader(payload, notes)
    shopify_id = order.id()
    person = _read_person(order)
    subject = Subject(shopify_id, person.customer_id, person.email)
    if shopify_id is None:
        return Translation(None, subject, tuple(notes))
    standing = _read_standing(order)
    created_at = order.time("created_at") or order.time("processed_at")
    updated_at = order.time("updated_at")
    if updated_at is None:
        order.note("updated_at", "is missing")
        updated_at = triggered_at or created_at or 0
    facts = OrderFacts(
        shopify_id=shopify_id,
        stamp=Stamp(updated_at, triggered_at, RANKS[standing]),
        order_number=order.number("order_number"),
        name=order.text("name"),
        token=_read_token(order),
        standing=standing,
        ordered_at=created_at or updated_at or received_at,
        locale=order.text("customer_locale", _LOCALE_CHARS),
        person=person,
        lines=_read_lines(order),
        refunds=_merge(_read_refund(refund) for refund in order.items("refunds")),
    )
    return Translation(facts, subject, tuple(notes))


def translate_refund(payload: object) -> Translation:
    """The lines that one refund took back (`refunds/create`); it may arrive before its order."""
    notes: list[str] = []
    refund = Reader(payload, notes)
    order_id = refund.id("order_id", "admin_graphql_api_order_id")
    refunds = _merge([_read_refund(refund)])
    is_readable = order_id is not None and (bool(refunds) or refund.id() is not None)
    facts = OrderRefunded(order_id, refunds) if order_id is not None and is_readable else None
    return Translation(facts, Subject(order_id), tuple(dict.fromkeys(notes)))


def translate_edit(payload: object) -> Translation:
    """Which order was edited (`orders/edited`); what it looks like now is not in there."""
    notes: list[str] = []
    order_id = Reader(payload, notes).child("order_edit").id("order_id", None)
    return Translation(None if order_id is None else OrderEdited(order_id), Subject(order_id), tuple(notes))


def translate_deleted(payload: object) -> Translation:
    """Which order was deleted (`orders/delete`)."""
    notes: list[str] = []
    order_id = Reader(payload, notes).id()
    return Translation(None if order_id is None else OrderDeleted(order_id), Subject(order_id), tuple(notes))


def translate_risk(payload: object, triggered_at: int) -> Translation:
    """A fraud assessment (`orders/risk_assessment_changed`), whose shape Shopify hardly documents."""
    notes: list[str] = []
    risk = Reader(payload, notes)
    order_id = as_id(risk.raw("order_id")) or as_id(risk.raw("admin_graphql_api_order_id")) or _nested_id(risk)
    if order_id is None:
        risk.note("order_id", "is missing")
    level = _LEVELS.get((risk.text("risk_level") or "").lower())
    if level is None:
        risk.note("risk_level", "is missing or unknown")
    if order_id is None or level is None:
        return Translation(None, Subject(order_id), tuple(notes))
    assessed_at = triggered_at or risk.time("updated_at") or risk.time("created_at") or 0
    facts = RiskAssessed(order_id, _read_provider(risk), level, assessed_at)
    return Translation(facts, Subject(order_id), tuple(notes))


def _nested_id(risk: Reader) -> int | None:
    order = risk.raw("order")
    if isinstance(order, dict):
        return as_id(order.get("id")) or as_id(order.get("admin_graphql_api_id"))
    return as_id(order)


def _read_provider(risk: Reader) -> str:
    """Who assessed, as a key; null is Shopify itself."""
    provider = risk.raw("provider")
    named = [provider.get(key) for key in _PROVIDER_KEYS] if isinstance(provider, dict) else [provider]
    texts = [_as_key(value) for value in (*named, risk.raw("provider_id"), risk.raw("provider_title"))]
    return next((text for text in texts if text), _SHOPIFY)


def _as_key(value: object) -> str:
    return clean(str(value), _KEY_CHARS).strip() if type(value) is str or as_id(value) else ""


def _read_standing(order: Reader) -> Standing:
    """Where the order is: `cancelled_at` outranks the payment; an unknown status is pending."""
    cancelled_at = order.raw("cancelled_at")
    if cancelled_at is not None:
        order.time("cancelled_at")
        if cancelled_at not in ("", False):
            return Standing.CANCELLED
    status = order.text("financial_status")
    standing = _STANDINGS.get((status or "").lower())
    if standing is None:
        order.note("financial_status", "is missing" if status is None else "is unknown")
        return Standing.PENDING
    return standing


def _read_token(order: Reader) -> str | None:
    """The order status page token, byte for byte: `token`, else the segment of `order_status_url` after `orders/`."""
    token = order.raw("token")
    if isinstance(token, str) and token and _is_encodable(token):
        return token
    order.note("token", "is missing" if token is None else "is odd")
    url = order.raw("order_status_url")
    found = _STATUS_PATH.fullmatch(url) if isinstance(url, str) and _is_encodable(url) else None
    return found[1] if found and len(found[1]) <= _TOKEN_CHARS else None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_person(order: Reader) -> Person:
    customer = order.child("customer")
    names = (customer.text("first_name"), customer.text("last_name"))
    email = (
        order.text("email", _EMAIL_CHARS)
        or order.text("contact_email", _EMAIL_CHARS)
        or customer.text("email", _EMAIL_CHARS)
    )
    customer_id = customer.id() if customer.has("id") or customer.has("admin_graphql_api_id") else None
    return Person(email, " ".join(name for name in names if name) or None, customer_id)


def _read_lines(order: Reader) -> tuple[LineFacts, ...] | None:
    """The lines; None where the payload does not tell, which is not the same as having none."""
    if not isinstance(order.raw("line_items"), list):
        order.note("line_items", "is missing or not a list")
        return None
    lines: dict[int, LineFacts] = {}
    for position, line in enumerate(order.items("line_items")):
        line_item_id = line.id()
        if line_item_id is None:
            continue
        if line_item_id in lines:
            line.note("id", "is there twice")
            continue
        lines[line_item_id] = _read_line(line, line_item_id, position)
    return tuple(lines.values())


def _read_line(line: Reader, line_item_id: int, position: int) -> LineFacts:
    quantity = line.quantity("quantity")
    if line.raw("quantity") is None:
        line.note("quantity", "is missing")
    name = line.text("title") or line.text("name")
    if name is None:
        line.note("title", "is missing")
    return LineFacts(
        line_item_id=line_item_id,
        position=position,
        product_id=line.maybe_id("product_id"),
        variant_id=line.maybe_id("variant_id"),
        name=name or "",
        variant_name=read_variant_name(line, "variant_title"),
        sku=line.text("sku", _SKU_CHARS),
        vendor=line.text("vendor"),
        quantity=1 if quantity is None else quantity,
        current_quantity=line.quantity("current_quantity"),
    )


def read_variant_name(thing: Reader, field: str) -> str | None:
    """The variant's name; None for the only variant of a product, which Shopify calls "Default Title"."""
    name = thing.text(field)
    return None if name == DEFAULT_VARIANT else name


def _read_refund(refund: Reader) -> list[RefundFacts]:
    refund_id = refund.id()
    if refund_id is None:
        return []
    found: list[RefundFacts] = []
    for item in refund.items("refund_line_items"):
        line_item_id = item.id("line_item_id", None) or as_id(item.child("line_item").raw("id"))
        quantity = item.quantity("quantity")
        if line_item_id is not None and quantity is not None:
            found.append(RefundFacts(refund_id, line_item_id, quantity))
    return found


def _merge(refunds: Iterable[list[RefundFacts]]) -> tuple[RefundFacts, ...]:
    """One entry for each refund and line: a refund may name a line twice, with different kinds of restocking."""
    merged: dict[tuple[int, int], int] = {}
    for refund in refunds:
        for part in refund:
            key = (part.refund_id, part.line_item_id)
            merged[key] = min(merged.get(key, 0) + part.quantity, MAX_QUANTITY)
    return tuple(RefundFacts(*key, quantity) for key, quantity in merged.items())
