"""What payloads say of shops and of people's rights: `app/*`, `shop/*` and the compliance topics."""

import re
from typing import Final

from carryout.shopify.model import (
    AppUninstalled,
    DataRequested,
    Redaction,
    ShopProfile,
    ShopRedacted,
    Subject,
    Translation,
)
from carryout.shopify.translate.reading import Reader, as_id

_DOMAIN: Final = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_EMAIL_CHARS: Final = 320


def translate_redaction(payload: object) -> Translation:
    """Who wants to be forgotten, and in which orders (`customers/redact`)."""
    notes: list[str] = []
    body = Reader(payload, notes)
    subject = _read_customer(body)
    order_ids = _read_ids(body, "orders_to_redact")
    if subject == Subject() and not order_ids:
        body.note("customer", "cannot be told")
        return Translation(None, subject, tuple(notes), _read_domain(body))
    redaction = Redaction(subject.customer_id, subject.email, order_ids)
    return Translation(redaction, subject, tuple(notes), _read_domain(body))


def translate_data_request(payload: object) -> Translation:
    """Who asks what is known of them (`customers/data_request`); the merchant answers."""
    notes: list[str] = []
    body = Reader(payload, notes)
    order_ids = _read_ids(body, "orders_requested")
    customer = _read_customer(body)
    subject = Subject(order_ids[0] if order_ids else None, customer.customer_id, customer.email)
    return Translation(DataRequested(), subject, tuple(notes), _read_domain(body))


def translate_shop_redaction(payload: object) -> Translation:
    """The shop wants to be forgotten (`shop/redact`)."""
    notes: list[str] = []
    domain = _read_domain(Reader(payload, notes))
    return Translation(ShopRedacted(), surprises=tuple(notes), shop_domain=domain)


def translate_uninstall(payload: object) -> Translation:
    """The merchant removed the app (`app/uninstalled`): the topic says it all."""
    notes: list[str] = []
    domain = _read_domain(Reader(payload, notes), "myshopify_domain")
    return Translation(AppUninstalled(), surprises=tuple(notes), shop_domain=domain)


def translate_shop(payload: object) -> Translation:
    """What the shop calls itself (`shop/update`). Its `myshopify.com` domain is how we know it, and never changes."""
    notes: list[str] = []
    shop = Reader(payload, notes)
    name = shop.text("name")
    if name is None:
        shop.note("name", "is missing")
    facts = None if name is None else ShopProfile(name)
    return Translation(facts, surprises=tuple(notes), shop_domain=_read_domain(shop, "myshopify_domain"))


def read_subject(topic: str, payload: object) -> Subject:
    """Whom a payload of a topic that we do not use is about, so that a redaction finds it."""
    body = Reader(payload if isinstance(payload, dict) else {}, [])
    customer = _read_customer(body)
    own_id = as_id(body.raw("id"))
    order_id = own_id if topic.startswith("orders/") else as_id(body.raw("order_id"))
    customer_id = own_id if topic.startswith("customers/") else customer.customer_id or as_id(body.raw("customer_id"))
    email = body.text("email", _EMAIL_CHARS) or body.text("contact_email", _EMAIL_CHARS) or customer.email
    return Subject(order_id, customer_id, email)


def _read_customer(body: Reader) -> Subject:
    customer = body.child("customer")
    customer_id = customer.id() if customer.has("id") else None
    return Subject(None, customer_id, customer.text("email", _EMAIL_CHARS))


def _read_ids(body: Reader, field: str) -> tuple[int, ...]:
    ids: list[int] = []
    for value in body.list(field):
        found = as_id(value.get("id") if isinstance(value, dict) else value)
        if found is None:
            body.note(field, "holds what is no id")
        else:
            ids.append(found)
    return tuple(dict.fromkeys(ids))


def _read_domain(body: Reader, field: str = "shop_domain") -> str | None:
    value = body.raw(field)
    found = _DOMAIN.fullmatch(value.lower()) if isinstance(value, str) else None
    return found[0] if found else None
