"""An installation on either database, filled through the rooms' own services, for servers that run beside it."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.clock import DAY, now
from carryout.db import Tx, open_database
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import GrantView
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.orders.model import Order
from carryout.sessions import service as sessions
from carryout.sessions import store as session_store
from carryout.sessions.model import Part
from carryout.settings import Settings
from carryout.storage import Blob, Storage, open_storage
from carryout.tickets import TicketKind, Tickets
from tests.cast import NOW
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import make_order

T = TypeVar("T")
TICKETS: Final = Tickets(KEYRING)


@dataclass
class Market:
    """Mira's store, and what a test puts into it."""

    settings: Settings
    store: Store = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.store = self.write(make_store)

    @property
    def url(self) -> str:
        """The database's address."""
        return self.settings.database_url

    @property
    def storage(self) -> Storage:
        """The storage, opened anew: each test's part runs in a loop of its own."""
        return open_storage(self.settings.storage_url, self.settings.aws, self.settings.data_dir)

    def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run one transaction of ours."""

        async def run() -> T:
            database = open_database(self.url)
            try:
                return await database.write(work, *args)
            finally:
                await database.close()

        return asyncio.run(run())

    def file(self, content: bytes, filename: str = "film.mkv") -> Asset:
        """A file of these bytes."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        blob = asyncio.run(self.storage.put(self.store.uid, chunks()))
        return self.write(catalog.add_file, self.store.id, filename, blob, NOW)

    def huge_file(self, size_bytes: int) -> Asset:
        """A file of zeros that takes no room: its digest is made up."""
        blob = Blob(os.urandom(32), 0, size_bytes)
        path = self.path(blob.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.truncate(path, size_bytes)
        return self.write(catalog.add_file, self.store.id, "huge.iso", blob, NOW)

    def path(self, sha256: bytes) -> Path:
        """Where bytes are kept, on a disk."""
        return self.settings.data_dir / "files" / self.storage.object_name(self.store.uid, sha256)

    def order(self, *assets: Asset, **terms: Any) -> "Sold":
        """An order with these files attached to itself."""
        number = next(self._numbers)
        order = self.write(_make_order, self.store, [asset.id for asset in assets], number, terms)
        return Sold(self, order)


@dataclass(frozen=True)
class Sold:
    """An order, as a test looks at it."""

    market: Market
    order: Order

    @property
    def grants(self) -> list[GrantView]:
        """What it grants."""
        return self.market.write(entitlements.view_by_id, self.market.store.id, self.order.id).grants

    @property
    def used(self) -> list[int]:
        """The uses spent, of each grant."""
        return [grant.used for grant in self.grants]

    @property
    def path(self) -> str:
        """The deciding door of its first grant."""
        return f"/d/{TICKETS.issue(TicketKind.GRANT, self.market.store.id, self.grants[0].id, 1)}/film.mkv"

    @property
    def zip_path(self) -> str:
        """The deciding door of all of it."""
        return f"/d/{TICKETS.issue(TicketKind.ORDER, self.market.store.id, self.order.id, 1)}/all.zip"

    @property
    def parts(self) -> list[Part]:
        """The files of its open sessions."""
        return self.market.write(_parts, self.market.store.id, self.order.id)

    def settle(self) -> None:
        """Let a day pass for its sessions."""
        self.market.write(sessions.settle_order, self.market.store.id, self.order.id, now() + 2 * DAY)


async def _make_order(tx: Tx, store: Store, asset_ids: list[int], number: int, terms: dict[str, Any]) -> Order:
    facts: dict[str, Any] = {"shopify_id": number, "token": f"{number:032x}", "order_number": number, "name": None}
    order = await make_order(tx, store, lines=(), **facts)
    await entitlements.attach_to_order(tx, store, order.id, asset_ids, NOW)
    await orders.set_terms(tx, store.id, order, terms)
    return order


async def _parts(tx: Tx, store_id: int, order_id: int) -> list[Part]:
    open_ones = await session_store.list_of_order(tx, store_id, order_id)
    return await session_store.list_parts(tx, store_id, [session.id for session in open_ones])
