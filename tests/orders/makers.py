"""Makers of orders: Bea's paid order of a book and a song, bent to what the test is about."""

from typing import Any, Final

import msgspec

from carryout.db import Tx
from carryout.merchants.model import Store
from carryout.orders import service
from carryout.orders.model import LineFacts, Order, OrderFacts, Person, Stamp, Standing
from tests.cast import BEA, NOW
from tests.merchants.makers import KEYRING

ORDER_ID: Final = 6_198_424_240_428
TOKEN: Final = "b835a6e4fd2be636c2780cb6c9bdf712"
CUSTOMER_ID: Final = 191_167
BOOK_LINE: Final = LineFacts(
    line_item_id=11, position=0, product_id=100, variant_id=101, name="Book", sku="book-epub", quantity=1
)
SONG_LINE: Final = LineFacts(
    line_item_id=12, position=1, product_id=200, variant_id=201, name="Song", sku="song", quantity=3
)
TIP_LINE: Final = LineFacts(line_item_id=13, position=2, name="Tip")


def stamp(at: int = 0, *, triggered_at: int = 0, standing: Standing = Standing.PAID) -> Stamp:
    """The stamp of a payload, `at` microseconds after NOW."""
    return Stamp(NOW + at, triggered_at, standing.rank)


def order_facts(at: int = 0, **changes: Any) -> OrderFacts:
    """What a payload says of Bea's order, `at` microseconds after NOW."""
    facts = OrderFacts(
        shopify_id=ORDER_ID,
        stamp=stamp(at, standing=changes.get("standing", Standing.PAID)),
        order_number=1050,
        name="#1050",
        token=TOKEN,
        standing=Standing.PAID,
        ordered_at=NOW,
        locale="en",
        person=Person(BEA.email, BEA.name, CUSTOMER_ID),
        lines=(BOOK_LINE, SONG_LINE),
    )
    return msgspec.structs.replace(facts, **changes)


async def make_order(tx: Tx, store: Store, **changes: Any) -> Order:
    """An order that the store was told of."""
    recorded = await service.record(tx, store, order_facts(**changes), KEYRING, NOW)
    assert recorded is not None
    return await service.find_by_id(tx, store.id, recorded.id)
