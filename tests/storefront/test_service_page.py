from pathlib import Path

import msgspec
import pytest

from carryout.clock import MINUTE
from carryout.db import Database
from carryout.entitlements.model import Refusal
from carryout.orders import service as orders
from carryout.sessions import service as sessions
from carryout.sessions.model import Client, Delivery
from carryout.storefront import service
from carryout.storefront.model import OrderPage
from carryout.tickets import Ticket
from tests.cast import NOW
from tests.storefront.makers import Shop, Sold, make_shop

BEAS = [b"Bea's address"]


@pytest.fixture
async def shop(database: Database, data_dir: Path) -> Shop:
    return await make_shop(database, data_dir, "http://test", [Sold("a.flac"), Sold("b.txt", is_of_order=True)])


async def test_rows_stand_under_what_was_bought_and_the_orders_own_at_the_end(shop: Shop) -> None:
    page = await _open(shop)

    assert [(group.title, [row.filename for row in group.rows]) for group in page.groups] == [
        ("Field recordings", ["a.flac"]),
        (None, ["b.txt"]),
    ]


async def test_a_ticket_of_an_older_link_generation_or_of_another_store_opens_nothing(shop: Shop) -> None:
    ticket = _ticket(shop)
    await shop.database.write(orders.revoke_links, shop.store.id, shop.order.id)

    for dead in (ticket, msgspec.structs.replace(ticket, store_id=shop.store.id + 1)):
        with pytest.raises(service.OrderLinkUnknown):
            await shop.database.read(service.open_page, dead, BEAS, NOW)


async def test_the_page_knows_its_client_and_spends_nothing(shop: Shop) -> None:
    await shop.database.write(orders.set_terms, shop.store.id, shop.order, {"addresses": 1})
    grant, _ = await shop.grants()
    ticket = Ticket(shop.store.id, grant.id, 1)
    await shop.database.write(sessions.decide, ticket, Client(tuple(BEAS)), None, Delivery.SENT, NOW)

    beas = await _open(shop)
    strangers = await _open(shop, [b"a stranger's address"])

    assert [row.refusal for row in beas.rows] == [None, None]
    assert [row.refusal for row in strangers.rows] == [Refusal.IP_LIMIT_REACHED] * 2
    assert [row.used for row in strangers.rows] == [1, 0]


async def test_who_moved_finds_a_button_once_the_download_they_left_is_idle(shop: Shop) -> None:
    await shop.database.write(orders.set_terms, shop.store.id, shop.order, {"downloads": 1})
    grant, _ = await shop.grants()
    ticket = Ticket(shop.store.id, grant.id, 1)
    train = Client((b"the train's address",))
    await shop.database.write(sessions.decide, ticket, train, None, Delivery.SENT, NOW - 1)

    assert (await _open(shop)).rows[0].refusal is Refusal.DOWNLOAD_LIMIT_REACHED
    later = (await _open(shop, at=NOW + MINUTE)).rows[0]
    assert (later.refusal, later.used, later.limit) == (None, 0, 1)

    await shop.database.write(orders.set_terms, shop.store.id, shop.order, {"downloads": 1, "addresses": 1})
    assert (await _open(shop, at=NOW + MINUTE)).rows[0].refusal is Refusal.DOWNLOAD_LIMIT_REACHED


async def _open(shop: Shop, addresses: list[bytes] = BEAS, at: int = NOW) -> OrderPage:
    return await shop.database.read(service.open_page, _ticket(shop), addresses, at)


def _ticket(shop: Shop) -> Ticket:
    return Ticket(shop.store.id, shop.order.id, shop.order.link_generation)
