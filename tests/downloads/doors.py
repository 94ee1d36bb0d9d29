"""Buyers at the deciding door: what is sold to them, where it is, and what it has cost them."""

from typing import Any, Final

from carryout.catalog.model import Asset
from carryout.orders.model import Order
from carryout.tickets import TicketKind
from tests.storefront.house import TICKETS, House

PAGE: Final = {"accept": "text/html,application/xhtml+xml;q=0.9"}
CONTENT: Final = bytes(range(256)) * 12_000  # 3 MB: more than the greatest chunk


def door(house: House, order: Order, name: str = "book.epub", kind: TicketKind = TicketKind.GRANT) -> str:
    return f"/d/{TICKETS.issue(kind, house.store.id, house.grant(order).id, 1)}/{name}"


def sold(house: House, asset: Asset, **changes: Any) -> tuple[Order, str]:
    order, _ = house.order(asset, **changes)
    return order, door(house, order)


def spent(house: House, order: Order) -> int:
    return house.grant(order).used
