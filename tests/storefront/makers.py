"""Makers of what the buyer sees: an order with files and links of any name, and the address of its page."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset, ProductFacts
from carryout.db import Database, Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import GrantView
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.orders.model import LineFacts, Order
from carryout.storage import DiskStorage
from carryout.tickets import Links, Tickets
from tests.cast import NOW
from tests.merchants.makers import KEYRING, PLANS, make_store
from tests.orders.makers import order_facts

CONTENT: Final = b"Field recordings, lossless"
LONG_AGO: Final = 1_577_836_800_000_000  # 2020-01-01
FAR_AHEAD: Final = "2099-12-24T18:00:00Z"


@dataclass(frozen=True)
class Sold:
    """What is in the order: its name, where it leads if it is a link, and its own limits as `asset set` takes them."""

    name: str
    link: str | None = None
    limits: dict[str, str] = field(default_factory=dict)
    is_of_order: bool = False
    product: str = "Field recordings"


@dataclass(frozen=True)
class Shop:
    """A store with one order, and who may look at it."""

    database: Database
    store: Store
    order: Order
    base_url: str

    async def page_url(self) -> str:
        """The buyer's page as the order's links are now."""
        order = await self.database.read(orders.find_by_id, self.store.id, self.order.id)
        return Links(Tickets(KEYRING), self.base_url).order(self.store.id, order.id, order.link_generation)

    async def grants(self) -> list[GrantView]:
        """The order's grants."""
        return (await self.database.read(entitlements.view_by_id, self.store.id, self.order.id)).grants

    async def set(self, **values: str) -> None:
        """Change settings of the store; `message_expired` is `message.expired`."""
        pairs = [(key.replace("message_", "message."), value) for key, value in values.items()]
        await self.database.write(merchants.set_values, self.store.id, pairs, KEYRING, PLANS, NOW)


async def make_shop(
    database: Database,
    data_dir: Path,
    base_url: str,
    sold: Sequence[Sold] = (Sold("field recordings.flac"),),
    **changes: Any,
) -> Shop:
    """The shop of one test; `changes` are the order's facts."""
    store = await database.write(make_store)
    blob = await DiskStorage(data_dir / "files").put(store.uid, _once(CONTENT))
    order = await database.write(_fill, store, blob, list(sold), changes)
    return Shop(database, store, order, base_url)


async def _fill(tx: Tx, store: Store, blob: Any, sold: Sequence[Sold], changes: dict[str, Any]) -> Order:
    products = {each.product: 100 + number for number, each in enumerate(sold) if not each.is_of_order}
    facts = [
        ProductFacts(product_id=number, variant_id=number, name=name, updated_at=NOW)
        for name, number in products.items()
    ]
    await catalog.record_products(tx, store.id, facts)
    made = [(each, await _asset(tx, store, each, blob)) for each in sold]
    for each, asset in made:
        if not each.is_of_order:
            await catalog.attach(tx, store.id, asset.id, variant_ids=[str(products[each.product])], now=NOW)
    lines = tuple(
        LineFacts(line_item_id=number, position=number, product_id=number, variant_id=number, name=name)
        for name, number in products.items()
    )
    recorded = await orders.record(tx, store, order_facts(**{"lines": lines, **changes}), KEYRING, NOW)
    assert recorded is not None
    await entitlements.regrant(tx, store, recorded.id, NOW)
    own = [asset.id for each, asset in made if each.is_of_order]
    await entitlements.attach_to_order(tx, store, recorded.id, own, NOW)
    return await orders.find_by_id(tx, store.id, recorded.id)


async def _asset(tx: Tx, store: Store, sold: Sold, blob: Any) -> Asset:
    if sold.link is None:
        asset = await catalog.add_file(tx, store.id, sold.name, blob, NOW)
    else:
        asset = await catalog.add_link(tx, store.id, sold.link, sold.name, None, NOW)
    return await catalog.set_limits(tx, store.id, asset.id, sold.limits.items())


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
