"""What the deciding door says of a download that is open already: of whose version, and whether it is to be had."""

from sqlalchemy import update

from carryout.catalog.model import Asset
from carryout.clock import MINUTE
from carryout.db import Statement, Tx
from carryout.db.tables import sessions
from carryout.orders import service as orders
from carryout.orders.model import Order
from tests.cast import STRANGER
from tests.downloads.fetching import fetch, grant_path, opened, pattern, replace
from tests.storefront.house import House

CONTENT = pattern(100_000)


def sold_once(house: House, asset: Asset) -> tuple[Order, str]:
    order, _ = house.order(asset)
    house.write(orders.set_terms, house.store.id, order, {"downloads": 1})
    return order, grant_path(house, order)


def test_who_goes_on_with_an_older_version_is_answered_about_that_one(house: House) -> None:
    film = house.file(CONTENT, "film.mkv")
    order, path = sold_once(house, film)
    head = house.request("HEAD", opened(house, path)).headers
    replace(house, film, b"short")
    old = {"if-match": head["etag"]}
    for headers in ({}, old, {"if-range": head["etag"]}):
        response = fetch(house, path, headers={"range": "bytes=9-", **headers})
        assert (response.status_code, response.content) == (206, CONTENT[9:])
    assert house.get(path, headers={"if-none-match": head["etag"]}).status_code == 304
    assert house.request("HEAD", path).headers["etag"] == head["etag"]
    assert house.get(path, headers=old, address=STRANGER.address).status_code == 403
    assert house.grant(order).used == 1


def test_head_says_what_get_would_once_another_download_is_idle(house: House) -> None:
    order, path = sold_once(house, house.file(CONTENT))
    house.get(path, address=STRANGER.address)
    assert house.request("HEAD", path).status_code == 403
    house.write(_let_a_minute_pass, order.id)
    assert house.request("HEAD", path).status_code == 200
    assert (house.grant(order).used, house.get(path).status_code) == (1, 302)


async def _let_a_minute_pass(tx: Tx, order_id: int) -> None:
    table = sessions.c
    await tx.run(
        Statement(update(sessions).where(table.order_id == order_id).values(active_at=table.opened_at - MINUTE))
    )


def test_head_of_a_link_at_the_limit_says_who_may_follow_it(house: House) -> None:
    order, path = sold_once(house, house.link())
    assert house.get(path).status_code == 302
    assert house.request("HEAD", path).status_code == 200
    assert house.request("HEAD", path, address=STRANGER.address).status_code == 403
    assert house.grant(order).used == 1
