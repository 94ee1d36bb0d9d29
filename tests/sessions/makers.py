"""Makers of downloads: Bea's order of a book and a song, each a file of 10 MB, and what is sent of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select, update

from carryout.catalog import service as catalog
from carryout.clock import MINUTE
from carryout.db import Database, Query, Statement, Tx
from carryout.db.tables import events, grants
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import GrantView, OrderView, Refusal, Refused
from carryout.evidence.model import Witness
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.orders.model import Order
from carryout.sessions import service
from carryout.sessions.model import Asked, Client, Delivery, Opened, Part, Progress, Recorded, Session, SessionKind
from carryout.storage import Blob
from carryout.tickets import Ticket
from tests.cast import NOW
from tests.catalog.makers import make_products
from tests.merchants.makers import KEYRING, PLANS, make_store
from tests.orders.makers import make_order


class GrantState(msgspec.Struct, frozen=True):
    """What a grant has come to."""

    used: int
    undelivered_bytes: int
    id: int


SIZE: Final = 10_000_000
BUDGET: Final = 2 * SIZE + 1024 * 1024
DAY: Final = 24 * 60 * MINUTE
BEA: Final = b"the digest of Bea's address"
TRAIN: Final = b"the digest of the train's address"
STRANGER: Final = b"the digest of the stranger's address"
STATE: Final = Query(
    select(grants.c.used, grants.c.undelivered_bytes, grants.c.id).where(grants.c.id == bindparam("id")), GrantState
)
ACCOUNTS: Final = Query(select(grants.c.undelivered_bytes).order_by(grants.c.id), int)
EVENT_TYPES: Final = Query(select(events.c.type).order_by(events.c.id), str)
_SET: Final = Statement(
    update(grants)
    .where(grants.c.id == bindparam("at_id"))
    .values({name: bindparam(f"new_{name}") for name in ("used", "own_downloads", "undelivered_bytes")})
)

Outcome = Opened | Refused


@dataclass(frozen=True)
class Shop:
    """A store with an order whose grants are files (and a link, where it was asked for)."""

    database: Database
    store: Store
    order: Order
    grants: tuple[GrantView, ...]
    generation: int = 1

    def ticket(self, number: int = 0) -> Ticket:
        """The ticket of one of the grants."""
        return Ticket(self.store.id, self.grants[number].id, self.generation)

    async def decide(
        self, address: bytes = BEA, at: int = 0, *, asked: int | None = None, number: int = 0, **kind: Any
    ) -> Outcome:
        """Ask for a grant's file, `at` microseconds after NOW."""
        client, delivery = client_at(address), kind.get("delivery", Delivery.SENT)
        return await self.database.write(service.decide, self.ticket(number), client, asked, delivery, NOW + at)

    async def open(self, address: bytes = BEA, at: int = 0, **asked: Any) -> Opened:
        """Ask for a grant's file, and get it."""
        return opened(await self.decide(address, at, **asked))

    async def decide_all(self, address: bytes = BEA, at: int = 0, asked: Asked | None = None) -> Outcome:
        """Ask for all files as a ZIP."""
        ticket = Ticket(self.store.id, self.order.id, self.generation)
        return await self.database.write(
            service.decide_all, ticket, client_at(address), asked, seal_names, Delivery.SENT, NOW + at
        )

    async def refusal(self, address: bytes = BEA, at: int = 0, **asked: Any) -> Refusal | None:
        """Why a grant's file is not to be had, or None: it was opened or joined."""
        outcome = await self.decide(address, at, **asked)
        return outcome.refusal if isinstance(outcome, Refused) else None

    async def send(self, session: Session, *spans: tuple[int, int], at: int = 0, position: int = 0) -> Recorded:
        """Hand these bytes of a part to the network."""
        progress = [Progress(position, end - start, ((start, end),)) for start, end in spans]
        return await self.record(session, progress, at)

    async def record(self, session: Session, progress: Sequence[Progress], at: int = 0) -> Recorded:
        """Record progress."""
        return await self.database.write(service.record, self.store.id, session.id, progress, NOW + at)

    async def resume(self, session: Session, address: bytes = BEA, at: int = 0) -> Outcome:
        """Come to the sending door."""
        ticket = Ticket(self.store.id, session.id, session.link_generation)
        return await self.database.write(service.resume, ticket, client_at(address), NOW + at)

    async def find(self, session: Session, address: bytes = BEA, at: int = 0) -> Opened | None:
        """Come to the sending door, which only looks."""
        ticket = Ticket(self.store.id, session.id, session.link_generation)
        return await self.database.read(service.find_session, ticket, client_at(address), NOW + at)

    async def settle(self, at: int) -> int:
        """Settle what is over."""
        return await self.database.write(service.settle_order, self.store.id, self.order.id, NOW + at)

    async def stopped(self, *sessions: Session, at: int = 0) -> list[int]:
        """Which sessions must not send another byte."""
        return await self.database.read(service.list_stopped, [session.id for session in sessions], NOW + at)

    async def used(self) -> list[int]:
        """The uses of the grants, in their order."""
        view = await self.database.read(entitlements.view_by_id, self.store.id, self.order.id)
        return [grant.used for grant in view.grants]

    async def state(self, part: Part) -> tuple[int, int]:
        """The uses and the undelivered bytes of the grant that paid for a part."""
        [found] = await self.database.read(_list, STATE, {"id": part.grant_id})
        return found.used, found.undelivered_bytes

    async def accounts(self) -> list[int]:
        """The undelivered bytes of the grants, in their order."""
        return await self.database.read(_list, ACCOUNTS)

    async def events(self) -> list[str]:
        """The types of all events, in their order."""
        return await self.database.read(_list, EVENT_TYPES)

    async def set(self, **values: str) -> None:
        """Change settings of the store."""
        await self.database.write(_set_store, self.store.id, values)

    async def set_grant(self, used: int, limit: int | None, undelivered_bytes: int, number: int = 0) -> None:
        """Put numbers into a grant."""
        values = {"new_used": used, "new_own_downloads": -1 if limit is None else limit}
        await self.database.write(_run, self.grants[number].id, values | {"new_undelivered_bytes": undelivered_bytes})


def client_at(address: bytes) -> Client:
    """Who comes from there."""
    return Client((address,), Witness(address, b"a sealed user agent"))


def opened(outcome: Outcome) -> Opened:
    """The outcome, which is no refusal."""
    assert isinstance(outcome, Opened), outcome
    return outcome


def seal_names(_order: OrderView, links: Sequence[GrantView]) -> bytes | None:
    """A `links.txt` of names."""
    return service.seal_links(KEYRING, "\n".join(link.filename for link in links).encode())


async def make_shop(
    database: Database, files: int = 1, *, link: bool = False, empty: bool = False, **settings: str
) -> Shop:
    """A shop of one test; up to two files (the last of them `empty`), and the store's settings."""
    kinds = [("book-epub", "book.epub", SIZE), ("song", "song.flac", 0 if empty else SIZE)][:files]
    return Shop(database, *await database.write(partial(_make, link=link), kinds, settings))


async def _make(
    tx: Tx, files: Sequence[tuple[str, str, int]], settings: dict[str, str], *, link: bool
) -> tuple[Store, Order, tuple[GrantView, ...]]:
    store = await make_store(tx)
    store = await _set_store(tx, store.id, settings)
    await make_products(tx, store.id)
    for sku, name, size_bytes in files:
        asset = await catalog.add_file(tx, store.id, name, Blob(b"\1" * 32, 1, size_bytes), NOW)
        await catalog.attach(tx, store.id, asset.id, skus=[sku], now=NOW)
    if link:
        asset = await catalog.add_link(tx, store.id, "https://example.com/course", "Course", None, NOW)
        await catalog.attach(tx, store.id, asset.id, skus=["book-epub"], now=NOW)
    order = await make_order(tx, store)
    await entitlements.regrant(tx, store, order.id, NOW)
    view = await entitlements.view_by_id(tx, store.id, order.id)
    return store, order, tuple(sorted(view.grants, key=lambda grant: grant.asset_uid))


async def _set_store(tx: Tx, store_id: int, values: dict[str, str]) -> Store:
    return await merchants.set_values(tx, store_id, values.items(), KEYRING, PLANS, NOW)


async def _run(tx: Tx, grant_id: int, values: dict[str, Any]) -> None:
    await tx.run(_SET, at_id=grant_id, **values)


async def _list(tx: Tx, query: Query[Any], params: dict[str, Any] | None = None) -> list[Any]:
    return await tx.all(query, **(params or {}))


def session_of(**changes: Any) -> Session:
    """A session that was opened at NOW."""
    values: dict[str, Any] = {
        "id": 1,
        "store_id": 1,
        "order_id": 1,
        "kind": SessionKind.FILE,
        "delivery": Delivery.SENT,
        "link_generation": 1,
        "address_digest": BEA,
        "user_agent": None,
        "opened_at": NOW,
        "ends_at": NOW + DAY,
        "active_at": NOW,
        "ended_at": None,
        "links": None,
    }
    return Session(**(values | changes))
