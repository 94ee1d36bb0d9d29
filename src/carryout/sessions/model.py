"""A session, the files it delivers, and what a door is told of it. Times are microseconds UTC."""

import enum
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from carryout.entitlements.model import GrantView, OrderView
from carryout.evidence.model import Witness
from carryout.merchants.model import StoreSettings
from carryout.orders.model import Standing

# `(start, end)` in bytes of a file, `end` exclusive.
Span = tuple[int, int]

# What a session may carry beyond twice each of its files: what was sent for nothing when a range is asked for again.
SPARE_BYTES: Final = 1024 * 1024


class SessionKind(enum.Enum):
    """What a session delivers: one file, the files of an order as a ZIP, or a link, which has no bytes."""

    FILE = "file"
    ZIP = "zip"
    LINK = "link"


class Delivery(enum.Enum):
    """Who sends the bytes: we do, or somebody to whom we redirect, and then nobody counts them."""

    SENT = "sent"
    REDIRECT = "redirect"


class Outcome(enum.Enum):
    """What became of a use when its session ended."""

    KEPT = "kept"
    GIVEN_BACK = "given_back"


class Client(msgspec.Struct, frozen=True):
    """Who is at the door: the digests of the address, one for each secret key, the signing one first."""

    addresses: tuple[bytes, ...]
    witness: Witness | None = None


class Session(msgspec.Struct, frozen=True):
    """One download by one buyer. `links` is the sealed text of the ZIP's `links.txt`."""

    id: int
    store_id: int
    order_id: int
    kind: SessionKind
    delivery: Delivery
    link_generation: int
    address_digest: bytes | None
    user_agent: bytes | None
    opened_at: int
    ends_at: int
    active_at: int
    ended_at: int | None
    links: bytes | None


class Part(msgspec.Struct, frozen=True):
    """One file of a session, in the version it began; `modified_at` is that version's, and a link has none of it.

    `sent_bytes` counts every byte, `delivered` says which (sorted, disjoint), `completed_at` when that was all of them.
    """

    session_id: int
    position: int
    grant_id: int
    grant_uid: str
    asset_uid: str
    filename: str
    sha256: bytes | None
    crc32: int | None
    size_bytes: int
    modified_at: int | None
    budget_bytes: int
    sent_bytes: int
    delivered: tuple[Span, ...]
    completed_at: int | None
    outcome: Outcome | None


class Account(msgspec.Struct, frozen=True):
    """The uses of a grant, its limit (None: no limit), and the bytes of broken downloads not yet counted as a use."""

    used: int
    limit: int | None
    undelivered_bytes: int


class Settled(msgspec.Struct, frozen=True):
    """What becomes of one use, and what its grant's account is then."""

    outcome: Outcome
    account: Account


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A session that may be sent from; `parts` in the order of their positions. `link_url` is a link's target.

    It was opened now and paid for with one use of each part, unless `is_joined`: then nothing was spent.
    """

    order: OrderView
    session: Session
    parts: tuple[Part, ...]
    is_joined: bool = False
    link_url: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """What was handed to the network of one part since the last record: how many bytes, and which."""

    position: int
    sent_bytes: int
    delivered: tuple[Span, ...] = ()


class Recorded(msgspec.Struct, frozen=True):
    """What all transfers of a session together have left, by position; once `is_ended`, nothing more may be sent."""

    remaining_bytes: tuple[int, ...]
    is_ended: bool


class Watched(msgspec.Struct, frozen=True):
    """What decides whether a session that runs must stop, one row a part."""

    session_id: int
    ends_at: int
    ended_at: int | None
    link_generation: int
    order_generation: int
    standing: Standing
    risk_rank: int
    order_blocked_at: int | None
    settings: StoreSettings
    uninstalled_at: int | None
    grant_blocked_at: int | None
    revoked_at: int | None
    quantity: int | None
    remaining: int | None


class Joinable(msgspec.Struct, frozen=True):
    """An open session that a client may join for all of it, and the grants it delivers."""

    session_id: int
    kind: SessionKind
    grant_ids: tuple[int, ...]


class Undelivered(msgspec.Struct, frozen=True):
    """The bytes of broken downloads on the account of a grant."""

    grant_id: int
    undelivered_bytes: int


class OrderNote(msgspec.Struct, frozen=True):
    """How the evidence names an order, and whether its person was redacted."""

    id: int
    uid: str
    redacted_at: int | None


class DueOrder(msgspec.Struct, frozen=True):
    """An order that has sessions to be settled."""

    store_id: int
    order_id: int


# What a request asks of each part of a session that it might join; None is all of each.
Asked = Callable[[Session, Sequence[Part]], Sequence[int]]
# The sealed `links.txt` for the link grants that may be listed, or None when there is nothing to list.
SealedLinks = Callable[[OrderView, Sequence[GrantView]], bytes | None]
