"""Makers of the shopify room's tests: a store with an intake, and a look at everything an order came to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, func, select, update

from carryout.db import Database, Query, Statement, Tx
from carryout.db.tables import edits, inbox, jobs, lines, orders, products, refunds, risks, tombstones
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.shopify import service
from carryout.shopify.intake import Intake
from carryout.shopify.model import InboxRow, Outcome
from tests.cast import MIRA, NOW, Merchant
from tests.merchants.makers import KEYRING, make_store
from tests.shopify.payloads import delivery


class OrderRow(msgspec.Struct, frozen=True):
    """What a delivery may change of an order."""

    shopify_id: int | None
    order_number: int | None
    standing: str
    updated_at: int
    ordered_at: int
    token_digest: bytes | None
    email_digest: str | None
    customer_digest: str | None
    has_person: bool
    redacted_at: int | None


class LineRow(msgspec.Struct, frozen=True):
    """What a delivery may change of a line."""

    line_item_id: int
    position: int
    variant_id: int | None
    quantity: int
    remaining: int


class State(msgspec.Struct, frozen=True):
    """Everything that deliveries of one order come to, apart from the inbox."""

    orders: list[OrderRow]
    lines: list[LineRow]
    refunds: int
    risks: int
    edits: int
    tombstones: int
    products: int


_o = orders.c
_l = lines.c
_ORDERS: Final = Query(
    select(
        _o.shopify_id, _o.order_number, _o.standing, _o.updated_at, _o.ordered_at, _o.token_digest, _o.email_digest,
        _o.customer_digest, _o.person.is_not(None).label("has_person"), _o.redacted_at,
    ).order_by(_o.shopify_id),
    OrderRow,
)  # fmt: skip
_LINES: Final = Query(
    select(_l.line_item_id, _l.position, _l.variant_id, _l.quantity, _l.remaining).order_by(_l.line_item_id), LineRow
)
_COUNTS: Final = tuple(
    Query(select(func.count().label("rows")).select_from(table), int)
    for table in (refunds, risks, edits, tombstones, products)
)
BODIES: Final = Query(select(inbox.c.body).where(inbox.c.body.is_not(None)), bytes)
PEOPLE: Final = Query(select(orders.c.person).where(orders.c.person.is_not(None)), bytes)
JOB_KINDS: Final = Query(select(jobs.c.kind).order_by(jobs.c.id), str)
SPOIL: Final = Statement(update(inbox).values(outcome=bindparam("outcome"), topic=bindparam("topic")))


@dataclass(frozen=True)
class Shop:
    """A store, its intake, and what can be seen of it."""

    database: Database
    owner: Store
    intake: Intake

    async def send(self, topic: str, body: Any, delivery_id: str = "delivery 1", second: int = 1) -> Outcome:
        """Take one delivery in, as the store is now."""
        owner = await self.database.read(merchants.find_by_id, self.owner.id)
        assert owner is not None
        return await self.intake.take_in(owner, delivery(topic, body, delivery_id, second))

    async def rows(self) -> list[InboxRow]:
        """The inbox, the newest first."""
        return await self.database.read(service.list_deliveries, self.owner.id)

    async def state(self) -> State:
        """Everything that was made of the deliveries."""
        return await self.database.read(_state)

    async def all(self, query: Query[Any]) -> list[Any]:
        """The rows of a query."""
        return await self.database.read(_all, query)


async def open_shop(database: Database, data_dir: Path, merchant: Merchant = MIRA) -> Shop:
    """A merchant's store, ready to take deliveries in."""
    owner = await database.write(make_store, merchant)
    return Shop(database, owner, Intake(database, KEYRING, data_dir, lambda: NOW))


async def _state(tx: Tx) -> State:
    counts = [await tx.one(query) or 0 for query in _COUNTS]
    return State(await tx.all(_ORDERS), await tx.all(_LINES), *counts)


async def _all(tx: Tx, query: Query[Any]) -> list[Any]:
    return await tx.all(query)


async def spoil(tx: Tx, topic: str) -> None:
    """Park everything, as an older version would have that did not know what to make of it."""
    await tx.run(SPOIL, outcome=Outcome.PARKED.value, topic=topic)
