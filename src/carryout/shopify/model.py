"""A delivery of Shopify's, what it says once it is read, and what became of it."""

import enum
from typing import TypeAlias

import msgspec

from carryout.catalog.model import ProductFacts
from carryout.merchants.model import RiskLevel
from carryout.orders.model import OrderFacts, RefundFacts


class Outcome(enum.Enum):
    """What became of a delivery; the value is what Shopify, the merchant and the operator see."""

    APPLIED = "applied"
    IGNORED = "ignored"
    PARKED = "parked"
    DUPLICATE = "duplicate"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook whose signature was checked, or a file. Times are microseconds UTC; `triggered_at` 0 is unknown."""

    delivery_id: str
    topic: str
    raw: bytes
    triggered_at: int
    received_at: int
    event_id: str | None = None
    api_version: str | None = None


class Subject(msgspec.Struct, frozen=True):
    """Which order and whom a delivery is about, as far as it says."""

    order_id: int | None = None
    customer_id: int | None = None
    email: str | None = None


class OrderRefunded(msgspec.Struct, frozen=True):
    """A refund of an order's lines (`refunds/create`)."""

    order_id: int
    refunds: tuple[RefundFacts, ...]


class OrderEdited(msgspec.Struct, frozen=True):
    """An order was edited; the payload says which, not how (`orders/edited`)."""

    order_id: int


class OrderDeleted(msgspec.Struct, frozen=True):
    """An order is gone for good (`orders/delete`)."""

    order_id: int


class RiskAssessed(msgspec.Struct, frozen=True):
    """Somebody's fraud assessment of an order (`orders/risk_assessment_changed`)."""

    order_id: int
    provider: str
    level: RiskLevel
    assessed_at: int


class ProductSeen(msgspec.Struct, frozen=True):
    """A product and those of its variants that the payload spells out."""

    variants: tuple[ProductFacts, ...]


class ProductDeleted(msgspec.Struct, frozen=True):
    """A product is no longer sold."""

    product_id: int


class Redaction(msgspec.Struct, frozen=True):
    """A person wants to be forgotten (`customers/redact`)."""

    customer_id: int | None
    email: str | None
    order_ids: tuple[int, ...]


class Forgotten(msgspec.Struct, frozen=True):
    """Who is to be forgotten, without naming them: Shopify's order ids, and keyed digests in hex."""

    order_ids: tuple[int, ...] = ()
    customers: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()


class LoggedRedaction(msgspec.Struct, frozen=True):
    """A line of the log of redactions, which a restored copy is brought up to date with."""

    at: int
    domain: str
    topic: str
    store_uid: str
    person: Forgotten = Forgotten()


class Retried(msgspec.Struct, frozen=True):
    """What became of a delivery that was parked."""

    delivery_id: str
    topic: str
    outcome: Outcome


class DataRequested(msgspec.Struct, frozen=True):
    """A person asks what is known of them (`customers/data_request`)."""


class AppUninstalled(msgspec.Struct, frozen=True):
    """The merchant removed the app."""


class ShopProfile(msgspec.Struct, frozen=True):
    """What the shop calls itself (`shop/update`)."""

    name: str


class ShopRedacted(msgspec.Struct, frozen=True):
    """The shop wants to be forgotten, 48 hours after it removed the app."""


class Unused(msgspec.Struct, frozen=True):
    """Of a topic that we make nothing of."""


Facts: TypeAlias = (
    OrderFacts
    | OrderRefunded
    | OrderEdited
    | OrderDeleted
    | RiskAssessed
    | ProductSeen
    | ProductDeleted
    | Redaction
    | DataRequested
    | AppUninstalled
    | ShopProfile
    | ShopRedacted
    | Unused
)


class Translation(msgspec.Struct, frozen=True):
    """What a payload says. Without facts it cannot be applied, and `surprises` says why; with them they mark it.

    `shop_domain` is the shop that the signed body itself names, where it names one.
    """

    facts: Facts | None
    subject: Subject = Subject()
    surprises: tuple[str, ...] = ()
    shop_domain: str | None = None


class Parked(msgspec.Struct, frozen=True):
    """A delivery that waits to be tried again. `body` is sealed."""

    id: int
    store_id: int
    delivery_id: str
    topic: str
    triggered_at: int
    received_at: int
    body: bytes


class InboxRow(msgspec.Struct, frozen=True):
    """A delivery as the merchant sees it: never its body. An applied one with a reason said something odd."""

    id: int
    delivery_id: str
    topic: str
    received_at: int
    order_shopify_id: int | None
    outcome: Outcome
    reason: str | None
