"""Makers of what was bought: Mira's store with her products, Bea's order, and an asset on the book."""

from dataclasses import dataclass, replace

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.db import Database, Tx
from carryout.entitlements import service
from carryout.entitlements.model import GrantView
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.orders.model import Order
from tests.cast import NOW
from tests.catalog.makers import make_file, make_products
from tests.merchants.makers import KEYRING, PLANS, make_store
from tests.orders.makers import make_order


@dataclass(frozen=True)
class World:
    """A store with one order of a book and three songs, and a file attached to the book."""

    database: Database
    store: Store
    order: Order
    asset: Asset

    async def use(self) -> int | None:
        """Spend one use of the order's first grant; how many that makes."""
        grant, *_ = await self.grants()
        return await self.database.write(service.spend, self.store.id, grant.id)

    async def grants(self, order: Order | None = None) -> list[GrantView]:
        """The live grants of the order."""
        found = order or self.order
        view = await self.database.read(service.view_by_id, self.store.id, found.id)
        return view.grants

    async def regrant(self, order: Order | None = None) -> int:
        """Grant what the order lacks."""
        return await self.database.write(service.regrant, self.store, (order or self.order).id, NOW)

    async def set(self, **values: str) -> "World":
        """The same world after settings of its store were changed."""
        return replace(self, store=await self.database.write(set_settings, self.store.id, values))


async def make_world(database: Database, **settings: str) -> World:
    """The world of one test; `settings` are the store's."""
    return World(database, *await database.write(_make, settings))


async def set_settings(tx: Tx, store_id: int, values: dict[str, str]) -> Store:
    """Change settings of a store, as `store set` does."""
    return await merchants.set_values(tx, store_id, values.items(), KEYRING, PLANS, NOW)


async def _make(tx: Tx, settings: dict[str, str]) -> tuple[Store, Order, Asset]:
    store = await make_store(tx)
    store = await set_settings(tx, store.id, settings)
    await make_products(tx, store.id)
    asset = await make_file(tx, store.id)
    await catalog.attach(tx, store.id, asset.id, skus=["book-epub"], now=NOW)
    order = await make_order(tx, store)
    await service.regrant(tx, store, order.id, NOW)
    return store, order, asset
