from typing import Final

import pytest

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.db import Tx
from carryout.downloads.stream import STATUS
from carryout.entitlements.model import Refusal
from carryout.merchants.model import RiskLevel
from carryout.orders import service as orders
from carryout.orders.model import Order, RefundFacts, Standing
from carryout.tickets import TicketKind
from tests.cast import BEA, NOW, STRANGER
from tests.downloads.doors import PAGE, sold, spent
from tests.downloads.fetching import fetch
from tests.orders.makers import BOOK_LINE
from tests.storefront.house import TICKETS, House

# ── what is refused


def refused(house: House, book: Asset, refusal: Refusal) -> tuple[Order, str]:
    """An order whose grant is refused for this reason."""
    standings = {
        Refusal.ORDER_CANCELLED: Standing.CANCELLED,
        Refusal.ORDER_NOT_PAID: Standing.PENDING,
        Refusal.ORDER_REFUNDED: Standing.REFUNDED,
    }
    terms = {
        Refusal.NOT_YET_AVAILABLE: {"release_at": 2**60},
        Refusal.EXPIRED: {"expires_at": 1},
        Refusal.DOWNLOAD_LIMIT_REACHED: {"downloads": 0},
        Refusal.IP_LIMIT_REACHED: {"addresses": 0},
    }
    asset = house.file(b"gone") if refusal is Refusal.ASSET_UNAVAILABLE else book
    order, path = sold(house, asset, standing=standings.get(refusal, Standing.PAID))
    house.write(orders.set_terms, house.store.id, order, terms.get(refusal, {}))
    if refusal is Refusal.ACCESS_BLOCKED:
        house.write(orders.block, house.store.id, order.id, NOW)
    if refusal is Refusal.FRAUD_SUSPECTED:
        house.set(fraud_block="high")
        house.write(orders.record_risk, house.store.id, order.shopify_id, "shop", RiskLevel.HIGH, NOW)
    if refusal is Refusal.ASSET_UNAVAILABLE:
        house.write(catalog.remove_asset, house.store.id, asset.id, NOW)
    return order, path


DOCUMENTED: Final = {
    "access_blocked": 403,
    "order_cancelled": 403,
    "fraud_suspected": 403,
    "order_refunded": 403,
    "order_not_paid": 402,
    "not_yet_available": 403,
    "expired": 410,
    "download_limit_reached": 403,
    "ip_limit_reached": 403,
    "asset_unavailable": 404,
}


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_has_its_status_for_programs_and_for_people(house: House, book: Asset, refusal: Refusal) -> None:
    order, path = refused(house, book, refusal)
    status = DOCUMENTED[refusal.value]
    for accept in ({"accept": "*/*"}, {"accept": "application/json"}, {"accept": ""}):
        response = house.get(path, headers=accept)
        assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
        assert response.json()["code"] == refusal.value
    page = house.get(path, headers=PAGE)
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert "no-store" in page.headers["cache-control"]
    assert spent(house, order) == 0
    assert {refusal.value: status for refusal, status in STATUS.items()} == DOCUMENTED


def test_a_store_words_its_refusals_and_no_word_of_it_is_markup(house: House, book: Asset) -> None:
    house.set(**{"message.order_cancelled": "<b>Sorry</b> & bye"})
    _, path = sold(house, book, standing=Standing.CANCELLED)
    assert house.get(path).json()["message"] == "<b>Sorry</b> & bye"
    page = house.get(path, headers=PAGE).text
    assert "&lt;b&gt;Sorry&lt;/b&gt; &amp; bye" in page


async def _attach(tx: Tx, store_id: int, asset_id: int) -> None:
    await catalog.attach(tx, store_id, asset_id, skus=["book-epub"], now=NOW)


def test_a_refunded_line_is_refused_and_what_else_was_bought_works(house: House) -> None:
    asset = house.file(b"1")
    house.write(_attach, house.store.id, asset.id)
    order, token = house.order(asset, lines=(BOOK_LINE,))
    reply = house.get("/api/v2/customer-account-orders", params={"id": token}).json()["order"]
    of_line, of_order = reply["lines"][0]["assets"][0]["data"]["url"], reply["assets"][0]["data"]["url"]
    house.write(orders.record_refunds, house.store.id, order.shopify_id, [RefundFacts(1, 11, 1)], NOW)
    assert house.get(of_line).json()["code"] == "order_refunded"
    assert fetch(house, of_order).status_code == 200


def test_paying_makes_the_same_link_work(house: House, book: Asset) -> None:
    order, path = sold(house, book, standing=Standing.PENDING)
    assert house.get(path).status_code == 402
    house.write(orders.set_terms, house.store.id, order, {"downloads": 1})
    house.order(shopify_id=order.shopify_id, at=1)
    assert fetch(house, path).status_code == 200
    assert house.get(path, address=STRANGER.address).json()["code"] == "download_limit_reached"


def test_a_third_address_is_refused_and_the_first_two_go_on(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    house.write(orders.set_terms, house.store.id, order, {"addresses": 2})
    addresses = [BEA.address, STRANGER.address, "127.0.0.4", BEA.address, STRANGER.address]
    answers = [fetch(house, path, address=address) for address in addresses]
    assert [answer.status_code for answer in answers] == [200, 200, 403, 200, 200]
    assert answers[2].json()["code"] == "ip_limit_reached"
    assert spent(house, order) == 2


def test_a_forwarded_address_of_a_stranger_is_not_believed(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    house.write(orders.set_terms, house.store.id, order, {"addresses": 1})
    for number in range(3):
        assert fetch(house, path, headers={"x-forwarded-for": f"10.0.0.{number}"}).status_code == 200


# ── tickets


def wrong_tickets(house: House, order: Order) -> list[str]:
    grant, store = house.grant(order).id, house.store.id
    right = TICKETS.issue(TicketKind.GRANT, store, grant, 1)
    last = "A" if right[-1] != "A" else "B"
    return [
        right[:-1] + last,
        right[:-1],
        right + "A",
        right + "=",
        right.swapcase(),
        "A" * 44,
        "x",
        "%00" * 44,
        TICKETS.issue(TicketKind.SESSION, store, grant, 1),
        TICKETS.issue(TicketKind.ORDER, store, order.id, 2),
        TICKETS.issue(TicketKind.ORDER, store, 2**40, 1),
        TICKETS.issue(TicketKind.ORDER, store + 1, order.id, 1),
        TICKETS.issue(TicketKind.GRANT, store, grant, 2),
        TICKETS.issue(TicketKind.GRANT, store, 2**40, 1),
        TICKETS.issue(TicketKind.GRANT, store + 1, grant, 1),
    ]


def test_every_wrong_ticket_is_the_same_404(house: House, book: Asset) -> None:
    order, _ = sold(house, book)
    answers = [house.get(f"/d/{ticket}/book.epub") for ticket in wrong_tickets(house, order)]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert answers[0].json()["code"] == "link_unknown"
    assert spent(house, order) == 0


def test_a_ticket_of_a_revoked_generation_is_a_404_for_people_too(house: House, book: Asset) -> None:
    order, path = sold(house, book)
    house.write(orders.revoke_links, house.store.id, order.id)
    page = house.get(path, headers=PAGE)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert spent(house, order) == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_not_allowed(house: House, book: Asset, method: str) -> None:
    order, path = sold(house, book)
    response = house.request(method, path)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    assert spent(house, order) == 0
