"""An order as a shop tells it, and as we keep it."""

import enum

import msgspec


class Standing(enum.Enum):
    """Where an order is, the nearest first."""

    PENDING = "pending"
    PAID = "paid"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"

    @property
    def rank(self) -> int:
        """How far the order has come: of two payloads of one moment, the further one counts."""
        return _RANKS[self]


_RANKS = {standing: rank for rank, standing in enumerate(Standing)}


class Stamp(msgspec.Struct, frozen=True, order=True, array_like=True):
    """When a delivery's facts were true; the greater stamp wins, whatever the order of arrival.

    The source's `updated_at`, then when the delivery was triggered, then the further of pending, paid, refunded and
    cancelled. Times are microseconds UTC.
    """

    updated_at: int
    triggered_at: int
    standing_rank: int


class LineFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an order as a payload tells it."""

    line_item_id: int
    position: int
    product_id: int | None = None
    variant_id: int | None = None
    name: str
    variant_name: str | None = None
    sku: str | None = None
    vendor: str | None = None
    quantity: int = 1
    current_quantity: int | None = None


class RefundFacts(msgspec.Struct, frozen=True):
    """How much of one line one refund took back."""

    refund_id: int
    line_item_id: int
    quantity: int


class Person(msgspec.Struct, frozen=True):
    """Who bought, as far as it is known; kept sealed, and removed for good by a redaction."""

    email: str | None = None
    name: str | None = None
    customer_id: int | None = None


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one payload says of an order. `lines` is None where it does not speak of lines at all."""

    shopify_id: int
    stamp: Stamp
    order_number: int | None = None
    name: str | None = None
    token: str | None = None
    standing: Standing = Standing.PENDING
    ordered_at: int
    locale: str | None = None
    person: Person = Person()
    lines: tuple[LineFacts, ...] | None = None
    refunds: tuple[RefundFacts, ...] = ()


class Order(msgspec.Struct, frozen=True):
    """An order as the rooms above need it. The `own_…` terms: None is unset, -1 is "no limit"."""

    id: int
    uid: str
    shopify_id: int | None
    order_number: int | None
    standing: Standing
    ordered_at: int
    own_downloads: int | None
    own_addresses: int | None
    own_expires_at: int | None
    own_release_at: int | None
    address_limit: int | None
    blocked_at: int | None
    link_generation: int


class Line(msgspec.Struct, frozen=True):
    """A line and what is left of it."""

    id: int
    line_item_id: int
    position: int
    product_id: int | None
    variant_id: int | None
    name: str
    quantity: int
    remaining: int


class StoredPerson(msgspec.Struct, frozen=True):
    """The person of an order as it is kept: sealed, or gone."""

    person: bytes | None
    locale: str | None


class UpsertedOrder(msgspec.Struct, frozen=True):
    """An order after a payload was taken in; a redaction of it is for good."""

    id: int
    redacted_at: int | None


class RecordedOrder(msgspec.Struct, frozen=True):
    """What recording a payload came to."""

    id: int
    is_newest: bool
    is_redacted: bool
