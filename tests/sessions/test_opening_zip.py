import asyncio
from collections.abc import Sequence

from carryout.db import Database
from carryout.entitlements.model import Refusal, Refused
from carryout.orders import service as orders
from carryout.orders.model import RefundFacts
from carryout.sessions import service
from carryout.sessions.model import Opened, Part, Session, SessionKind
from tests.cast import NOW
from tests.merchants.makers import KEYRING
from tests.orders.makers import ORDER_ID
from tests.sessions.makers import BEA, DAY, SIZE, STRANGER, TRAIN, Outcome, Shop, make_shop, opened


def nothing_asked(_session: Session, parts: Sequence[Part]) -> list[int]:
    return [0 for _ in parts]


async def zip_refusal(shop: Shop, address: bytes = BEA, at: int = 0) -> Refusal | None:
    outcome: Outcome = await shop.decide_all(address, at)
    return outcome.refusal if isinstance(outcome, Refused) else None


async def test_a_zip_takes_one_use_of_each_file_and_lists_the_links(database: Database) -> None:
    shop = await make_shop(database, files=2, link=True, download_limit="1")
    found = opened(await shop.decide_all())
    assert found.session.kind is SessionKind.ZIP
    assert sorted(part.filename for part in found.parts) == ["book.epub", "song.flac"]
    assert [part.position for part in found.parts] == [0, 1]
    assert sorted(await shop.used()) == [0, 1, 1]
    assert service.open_links(found.session, KEYRING) == b"Course"
    assert await shop.events() == ["download.allowed"] * 2


async def test_100_zips_and_files_at_once_spend_no_use_beyond_the_limit(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="7")
    asked = [
        shop.decide_all(b"%d" % number) if number % 2 else shop.decide(b"%d" % number, number=number // 2 % 2)
        for number in range(100)
    ]
    outcomes = await asyncio.gather(*asked)
    parts = [part.grant_id for outcome in outcomes if isinstance(outcome, Opened) for part in outcome.parts]
    assert await shop.used() == [7, 7]
    assert {parts.count(grant.id) for grant in shop.grants} == {7}


async def test_a_zip_holds_what_is_allowed_and_leaves_out_the_rest(database: Database) -> None:
    shop = await make_shop(database, files=2)
    await database.write(orders.record_refunds, shop.store.id, ORDER_ID, [RefundFacts(2, 11, 1)], NOW)
    assert [part.filename for part in opened(await shop.decide_all()).parts] == ["song.flac"]
    assert sorted(await shop.used()) == [0, 1]


async def test_the_first_refusal_answers_when_no_file_is_allowed(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="0")
    assert await zip_refusal(shop) is Refusal.DOWNLOAD_LIMIT_REACHED
    await database.write(orders.block, shop.store.id, shop.order.id, NOW)
    assert await zip_refusal(shop) is Refusal.ACCESS_BLOCKED
    assert await shop.events() == ["download.refused"] * 2


async def test_an_order_of_links_alone_has_no_zip(database: Database) -> None:
    shop = await make_shop(database, files=0, link=True)
    assert await zip_refusal(shop) is Refusal.ASSET_UNAVAILABLE


async def test_an_open_zip_is_joined_by_its_address_at_the_limit(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="1")
    first = opened(await shop.decide_all())
    again = opened(await shop.decide_all(at=2))
    assert (again.is_joined, again.session.id) == (True, first.session.id)
    assert await zip_refusal(shop, STRANGER) is Refusal.DOWNLOAD_LIMIT_REACHED
    assert await shop.refusal() is Refusal.DOWNLOAD_LIMIT_REACHED


async def test_a_zip_whose_budget_is_too_small_is_settled_member_by_member(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="3")
    first = opened(await shop.decide_all())
    await shop.send(first.session, (0, SIZE - 1), (0, SIZE - 1), position=0)
    await shop.send(first.session, (0, 100), position=1)
    assert opened(await shop.decide_all(asked=nothing_asked)).session.id == first.session.id
    second = opened(await shop.decide_all())
    assert second.session.id != first.session.id
    assert [await shop.state(part) for part in first.parts] == [(2, 0), (1, 100)]


async def test_a_finished_member_keeps_its_use_and_a_broken_one_gives_it_back(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="3")
    found = opened(await shop.decide_all())
    await shop.send(found.session, (0, SIZE), position=0)
    await shop.send(found.session, (0, SIZE // 4), position=1)
    assert await shop.settle(DAY) == 1
    assert [await shop.state(part) for part in found.parts] == [(1, 0), (0, SIZE // 4)]


async def test_a_zip_ends_early_for_one_of_its_uses(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="1")
    found = opened(await shop.decide_all(TRAIN))
    number = next(at for at, grant in enumerate(shop.grants) if grant.id == found.parts[1].grant_id)
    await shop.send(found.session, (0, SIZE), position=0)
    file = await shop.open(BEA, 2 * 60_000_000, number=number)
    assert await shop.stopped(found.session, file.session) == [found.session.id]
    assert await shop.used() == [1, 1]


async def test_a_zip_with_a_member_refused_since_is_not_joined(database: Database) -> None:
    shop = await make_shop(database, files=2, download_limit="2")
    first = opened(await shop.decide_all())
    await database.write(orders.record_refunds, shop.store.id, ORDER_ID, [RefundFacts(2, 11, 1)], NOW)
    second = opened(await shop.decide_all())
    assert second.session.id != first.session.id
    assert [part.filename for part in second.parts] == ["song.flac"]
    assert sorted(await shop.used()) == [0, 1]
