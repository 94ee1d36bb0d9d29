import asyncio

import pytest

from carryout.clock import MINUTE
from carryout.db import Database
from carryout.evidence import service as evidence
from carryout.orders import service as orders
from carryout.sessions import service
from carryout.sessions.model import Delivery, Progress, Recorded
from tests.cast import NOW, OTHER
from tests.merchants.makers import make_store
from tests.orders.makers import ORDER_ID
from tests.sessions.makers import BEA, BUDGET, DAY, SIZE, STRANGER, make_shop, opened


async def test_what_was_sent_is_counted_and_a_whole_file_is_recorded_once(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    assert await shop.send(session, (0, SIZE // 2)) == Recorded((BUDGET - SIZE // 2,), is_ended=False)
    assert await shop.events() == ["download.allowed"]
    await shop.send(session, (SIZE // 2, SIZE))
    await shop.send(session, (0, 100))
    assert await shop.events() == ["download.allowed", "download.completed"]
    allowed, completed = await database.read(evidence.list_of_order, shop.store.id, shop.order.id)
    assert completed.detail == {"filename": "book.epub", "size_bytes": SIZE, "sent_bytes": SIZE}
    assert (completed.grant_uid, completed.address_digest) == (allowed.grant_uid, BEA)
    found = await shop.find(session)
    assert found is not None
    assert (found.parts[0].delivered, found.parts[0].sent_bytes) == (((0, SIZE),), SIZE + 100)


async def test_50_transfers_at_once_lose_no_byte_of_each_other(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    step = SIZE // 50
    await asyncio.gather(*(shop.send(session, (at * step, (at + 1) * step)) for at in range(50)))
    found = await shop.find(session)
    assert found is not None
    assert (found.parts[0].delivered, found.parts[0].sent_bytes) == (((0, SIZE),), SIZE)
    assert await shop.events() == ["download.allowed", "download.completed"]


async def test_a_question_counts_nothing_and_keeps_nothing_awake(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    session = (await shop.open()).session
    assert await shop.record(session, [], at=MINUTE - 1) == Recorded((BUDGET,), is_ended=False)
    assert await shop.refusal(STRANGER, MINUTE) is None


async def test_a_budget_that_is_used_up_ends_the_session_and_keeps_the_use(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    session = (await shop.open()).session
    assert not (await shop.record(session, [Progress(0, BUDGET - 1, ((0, 5),))])).is_ended
    assert await shop.record(session, [Progress(0, 1, ((0, 1),))]) == Recorded((0,), is_ended=True)
    assert (await shop.used(), await shop.accounts()) == ([1], [0])
    with pytest.raises(service.SessionEnded):
        await shop.resume(session)
    _, incomplete = await database.read(evidence.list_of_order, shop.store.id, shop.order.id)
    assert incomplete.type == "download.incomplete"
    told = {"filename": "book.epub", "size_bytes": SIZE, "sent_bytes": BUDGET, "use": "kept"}
    assert incomplete.detail == told


async def test_every_session_is_recorded_with_its_bytes_and_what_became_of_its_use(database: Database) -> None:
    shop = await make_shop(database)
    left = await shop.open()
    await shop.send(left.session, *[(0, SIZE - 1)] * 2)
    await shop.open()  # what is left of the budget covers no whole file
    await shop.settle(DAY)
    redirected = await shop.open(at=2 * DAY, delivery=Delivery.REDIRECT)
    assert not redirected.is_joined
    await shop.settle(3 * DAY)
    rows = await database.read(evidence.list_of_order, shop.store.id, shop.order.id)
    told = [(row.detail["sent_bytes"], row.detail["use"]) for row in rows if row.type == "download.incomplete"]
    assert told == [(2 * SIZE - 2, "kept"), (0, "given_back")]


async def test_a_session_that_sends_past_its_day_is_ended_by_its_own_record(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    assert (await shop.send(session, (0, 100), at=DAY)).is_ended
    assert (await shop.used(), await shop.accounts()) == ([0], [100])
    assert await shop.events() == ["download.allowed", "download.incomplete"]


async def test_what_was_under_way_when_its_session_ended_is_charged(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    session = (await shop.open()).session
    await shop.send(session, (0, SIZE - 100))
    await shop.settle(DAY)
    assert (await shop.used(), await shop.accounts()) == ([0], [SIZE - 100])
    assert (await shop.send(session, (SIZE - 100, SIZE), at=DAY)).is_ended
    assert (await shop.used(), await shop.accounts()) == ([1], [0])


async def test_a_kept_use_is_not_charged_for_what_comes_late(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await shop.send(session, (0, SIZE))
    await shop.settle(DAY)
    await shop.send(session, (0, 500), at=DAY)
    assert (await shop.used(), await shop.accounts()) == ([1], [0])


async def test_a_session_is_settled_once_however_many_settle_it(database: Database) -> None:
    shop = await make_shop(database, download_limit="5")
    for address in (BEA, STRANGER):
        await shop.send((await shop.open(address)).session, (0, 100))
    assert sum(await asyncio.gather(*(shop.settle(DAY) for _ in range(20)))) == 2
    assert (await shop.used(), await shop.accounts()) == ([0], [200])
    assert (await shop.events()).count("download.incomplete") == 2


async def test_openings_settlings_and_records_at_once_keep_the_books(database: Database) -> None:
    shop = await make_shop(database, download_limit="20")
    sessions = [(await shop.open(b"%d" % number)).session for number in range(20)]
    await asyncio.gather(
        *(shop.send(session, (0, 1000), at=DAY) for session in sessions),
        *(shop.decide(b"new %d" % number, DAY) for number in range(20)),
        *(shop.settle(DAY) for _ in range(5)),
    )
    assert await shop.settle(DAY) == 0
    assert (await shop.used(), await shop.accounts()) == ([20], [20_000])


async def test_a_zero_byte_file_is_delivered_by_its_answer_and_else_given_back(database: Database) -> None:
    shop = await make_shop(database, 2, empty=True)
    found = opened(await shop.decide_all())
    empty, full = sorted(found.parts, key=lambda part: part.size_bytes)
    await shop.record(found.session, [Progress(empty.position, 0)])
    await shop.settle(DAY)
    assert (await shop.state(empty), await shop.state(full)) == ((1, 0), (0, 0))


async def test_a_session_that_is_gone_ends_whoever_sends_it(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await database.write(orders.delete, shop.store.id, ORDER_ID, NOW)
    assert await shop.send(session, (0, 5)) == Recorded((), is_ended=True)
    assert await shop.stopped(session) == [session.id]
    assert await shop.settle(DAY) == 0


async def test_another_stores_session_is_not_found(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    other = await database.write(make_store, OTHER)
    foreign = await database.write(service.record, other.id, session.id, [Progress(0, 5, ((0, 5),))], NOW)
    assert foreign == Recorded((), is_ended=True)
    assert await database.write(service.settle_order, other.id, shop.order.id, NOW + DAY) == 0
    assert await shop.record(session, []) == Recorded((BUDGET,), is_ended=False)


async def test_what_is_due_is_listed_by_order_and_old_sessions_are_pruned(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open(delivery=Delivery.REDIRECT)).session
    assert await database.read(service.list_due, NOW + DAY - 1, 10) == []
    (due,) = await database.read(service.list_due, NOW + DAY, 10)
    assert (due.store_id, due.order_id) == (shop.store.id, shop.order.id)
    await shop.settle(DAY)
    assert await database.read(service.list_due, NOW + DAY, 10) == []
    assert await database.write(service.prune, NOW + 31 * DAY) == 0
    assert await database.write(service.prune, NOW + 31 * DAY + 1) == 1
    assert await shop.stopped(session) == [session.id]
