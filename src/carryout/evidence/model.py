"""An event, who caused it, and the chain that events become. Times are microseconds UTC."""

import enum
from typing import Any

import msgspec


class EventType(enum.Enum):
    """What happened; the value is the word that the feed and exports say."""

    DOWNLOAD_ALLOWED = "download.allowed"
    DOWNLOAD_REFUSED = "download.refused"
    DOWNLOAD_COMPLETED = "download.completed"
    DOWNLOAD_INCOMPLETE = "download.incomplete"
    LIMIT_REACHED = "grant.limit_reached"
    ORDER_GRANTED = "order.granted"


class Witness(msgspec.Struct, frozen=True):
    """Who was there, unreadable as it is: the keyed digest of an address, and a user agent, sealed."""

    address_digest: bytes | None = None
    user_agent: bytes | None = None


class Subject(msgspec.Struct, frozen=True):
    """What an event is about: our key of the order, and public ids."""

    order_id: int | None = None
    order_uid: str | None = None
    grant_uid: str | None = None
    asset_uid: str | None = None


class Event(msgspec.Struct, frozen=True):
    """Something that happened. `detail` is about the thing, never about a person: it stays when they are forgotten."""

    type: EventType
    subject: Subject
    detail: dict[str, str | int | bool | None]
    witness: Witness | None = None


class EventRow(msgspec.Struct, frozen=True):
    """An event as it is kept. Whoever changed the database may have put anything in it, so nothing is converted."""

    id: int
    uid: str
    store_id: int
    order_id: int | None
    order_uid: str | None
    grant_uid: str | None
    asset_uid: str | None
    type: str
    created_at: int
    detail: str
    address_digest: bytes | None
    user_agent: bytes | None
    salt: bytes | None
    person_digest: bytes | None
    chained_at: int | None
    key_id: bytes | None
    mac: bytes | None


class Chain(msgspec.Struct, frozen=True):
    """The chain of a store's events, from after the anchor (the last event that was pruned) to the head."""

    store_id: int
    anchor_event_id: int
    anchor_mac: bytes
    head_event_id: int
    head_mac: bytes
    length: int


class KeptChain(msgspec.Struct, frozen=True):
    """A chain as it is kept, with the code that shows whether it was changed."""

    store_id: int
    anchor_event_id: int
    anchor_mac: bytes
    head_event_id: int
    head_mac: bytes
    length: int
    key_id: bytes
    mac: bytes

    @property
    def chain(self) -> Chain:
        """The chain without its code."""
        return Chain(
            self.store_id,
            self.anchor_event_id,
            self.anchor_mac,
            self.head_event_id,
            self.head_mac,
            self.length,
        )


class Settled(msgspec.Struct, frozen=True):
    """Up to which id no running transaction can add an event any more, and whether one may add one above it."""

    up_to: int
    is_awaited: bool


class Break(msgspec.Struct, frozen=True):
    """The first place where a record is not as it was written; without an event it is the chain's own row."""

    event_id: int | None
    event_uid: str | None
    created_at: int | None
    reason: str


class Verified(msgspec.Struct, frozen=True):
    """What verifying a store's record came to. The head stands for all of it: noted elsewhere, it proves it later."""

    events: int
    unchained: int
    head: str
    broken: Break | None


class EventView(msgspec.Struct, frozen=True):
    """An event as the feed shows it; ids are public ones."""

    id: int
    uid: str
    type: str
    created_at: int
    order_uid: str | None
    grant_uid: str | None
    asset_uid: str | None
    detail: dict[str, Any]


class EvidenceRow(msgspec.Struct, frozen=True):
    """An event as the evidence of an order shows it."""

    id: int
    uid: str
    type: str
    created_at: int
    order_uid: str | None
    grant_uid: str | None
    asset_uid: str | None
    detail: dict[str, Any]
    address_digest: bytes | None
    user_agent: bytes | None
    chained_at: int | None
