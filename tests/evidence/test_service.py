import pytest

from carryout.clock import DAY
from carryout.db import Database, Tx
from carryout.evidence import service
from carryout.evidence.model import EventType, Subject
from carryout.identifiers import new_uid
from carryout.jobs import queue
from carryout.keyring import Keyring
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from tests.cast import NOW, OTHER
from tests.evidence.makers import (
    ORDER,
    chain,
    change_event,
    delete_event,
    list_ids,
    make_chained,
    make_event,
    record,
    verify,
    witness,
)
from tests.merchants.makers import KEYRING, make_store

DAYS = 30


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


async def prune(database: Database, store: Store, now: int) -> None:
    while await database.write(service.prune, store.id, DAYS, KEYRING, now):
        pass


# ── recording


async def test_what_a_door_decides_is_recorded_with_who_was_there(database: Database, mira: Store) -> None:
    subject = Subject(ORDER, new_uid(), new_uid(), new_uid())
    await database.write(service.record_decision, mira.id, subject, "book.epub", None, witness(), NOW)
    await database.write(service.record_decision, mira.id, subject, "book.epub", "expired", witness(), NOW + 1)
    allowed, refused = await database.read(service.list_of_order, mira.id, ORDER)
    assert (allowed.type, refused.type) == (EventType.DOWNLOAD_ALLOWED.value, EventType.DOWNLOAD_REFUSED.value)
    assert refused.detail == {"filename": "book.epub", "code": "expired"}
    assert (refused.order_uid, refused.grant_uid, refused.asset_uid) == (
        subject.order_uid,
        subject.grant_uid,
        subject.asset_uid,
    )
    assert refused.address_digest == witness().address_digest
    assert service.open_user_agent(refused, KEYRING) == "Mozilla/5.0 (X11; ) Firefox/140"


async def test_nobody_need_be_there(database: Database, mira: Store) -> None:
    await database.write(service.record_decision, mira.id, Subject(ORDER), "book.epub", None, None, NOW)
    await chain(database, mira)
    (event,) = await database.read(service.list_of_order, mira.id, ORDER)
    assert (event.address_digest, service.open_user_agent(event, KEYRING)) == (None, None)
    assert (await verify(database, mira)).broken is None


async def test_what_is_undone_leaves_no_event(database: Database, mira: Store) -> None:
    async def fail(tx: Tx) -> None:
        await service.record(tx, mira.id, [make_event()], NOW)
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(fail)
    assert await database.read(list_ids) == []


async def test_another_store_sees_nothing(database: Database, mira: Store) -> None:
    await make_chained(database, mira, 2)
    other = await database.write(make_store, OTHER)
    assert await database.read(service.list_of_order, other.id, ORDER) == []
    assert await database.read(service.list_events, other.id, 0, 10) == ([], 0)
    assert await database.write(service.forget, other.id, [ORDER]) == 0


async def test_many_events_make_one_job(database: Database, mira: Store) -> None:
    for _ in range(3):
        await record(database, mira)
    (job,) = await database.read(queue.list_jobs)
    assert job.kind == service.CHAIN_EVENTS
    assert job.store_id == mira.id


# ── chaining


async def test_events_are_chained_in_batches_and_hold(database: Database, mira: Store) -> None:
    await record(database, mira, 1100)
    assert (await verify(database, mira)).unchained == 1100
    assert await database.write(service.chain, mira.id, KEYRING, NOW) is True
    await chain(database, mira)
    await make_chained(database, mira, 1)
    found = await verify(database, mira)
    assert (found.events, found.unchained, found.broken) == (1101, 0, None)


async def test_chaining_nothing_changes_nothing(database: Database, mira: Store) -> None:
    await chain(database, mira)
    assert (await verify(database, mira)).events == 0
    await make_chained(database, mira, 1)
    before = await verify(database, mira)
    await chain(database, mira, NOW + DAY)
    assert await verify(database, mira) == before


async def test_each_store_has_a_chain_of_its_own(database: Database, mira: Store) -> None:
    other = await database.write(make_store, OTHER)
    for _ in range(2):
        await record(database, mira)
        await record(database, other)
    await chain(database, mira)
    assert (await verify(database, other)).unchained == 2
    await chain(database, other)
    assert [(await verify(database, store)).events for store in (mira, other)] == [2, 2]
    assert await database.read(service.list_due_chains) == [mira.id, other.id]


async def test_a_chain_goes_on_under_a_new_key(database: Database, mira: Store) -> None:
    await make_chained(database, mira, 2)
    both = Keyring(["a new secret key", "the secret key of the tests"])
    await record(database, mira, 2)
    assert await database.write(service.chain, mira.id, both, NOW) is False
    assert (await database.sweep(service.verify, mira.id, both)).broken is None
    alone = await database.sweep(service.verify, mira.id, Keyring(["a new secret key"]))
    assert alone.broken is not None
    assert "secret key is missing" in alone.broken.reason


# ── the feed


async def test_the_feed_shows_what_is_chained_and_nothing_twice(database: Database, mira: Store) -> None:
    await record(database, mira, 3)
    assert await database.read(service.list_events, mira.id, 0, 2) == ([], 0)
    await chain(database, mira)
    first, cursor = await database.read(service.list_events, mira.id, 0, 2)
    rest, end = await database.read(service.list_events, mira.id, cursor, 2)
    assert [event.id for event in first + rest] == await database.read(list_ids)
    assert await database.read(service.list_events, mira.id, end, 2) == ([], end)
    assert first[0].detail == {"filename": "book.epub", "used": 1}


# ── forgetting


async def test_a_forgotten_person_is_gone_and_the_chain_holds(database: Database, mira: Store) -> None:
    await make_chained(database, mira, 2)
    await record(database, mira, 1, order_id=8)
    await record(database, mira, 1)
    assert await database.write(service.forget, mira.id, [ORDER]) == 3
    await chain(database, mira)
    assert (await verify(database, mira)).broken is None
    forgotten = await database.read(service.list_of_order, mira.id, ORDER)
    assert {(event.address_digest, event.user_agent) for event in forgotten} == {(None, None)}
    (kept,) = await database.read(service.list_of_order, mira.id, 8)
    assert kept.user_agent is not None


async def test_a_redacted_store_takes_its_record_with_it(database: Database, mira: Store) -> None:
    other = await database.write(make_store, OTHER)
    await make_chained(database, mira, 2)
    await record(database, other)
    await chain(database, other)
    await database.write(merchants.delete_store, mira.id)
    assert len(await database.read(list_ids)) == 1
    assert await database.read(service.list_due_chains) == [other.id]
    assert (await verify(database, other)).broken is None


# ── pruning


async def test_what_is_old_is_pruned_and_the_rest_still_holds(database: Database, mira: Store) -> None:
    await record(database, mira, 600)
    await database.write(service.record, mira.id, [make_event()] * 2, NOW + DAY)
    await record(database, mira, 1)
    await chain(database, mira)
    await prune(database, mira, NOW + DAYS * DAY)
    assert len(await database.read(list_ids)) == 603
    await prune(database, mira, NOW + DAYS * DAY + 1)
    # In the order of the chain: what is old, but comes after something younger, waits for it.
    assert len(await database.read(list_ids)) == 3
    found = await verify(database, mira)
    assert (found.events, found.broken) == (3, None)


async def test_a_record_goes_on_after_all_of_it_was_pruned(database: Database, mira: Store) -> None:
    ids = await make_chained(database, mira, 3)
    await prune(database, mira, NOW + 2 * DAYS * DAY)
    assert await database.read(list_ids) == []
    (new,) = await make_chained(database, mira, 1)
    assert new > ids[-1]
    found = await verify(database, mira)
    assert (found.events, found.broken) == (1, None)


async def test_what_is_not_chained_is_not_pruned(database: Database, mira: Store) -> None:
    await record(database, mira, 2)
    await prune(database, mira, NOW + 2 * DAYS * DAY)
    assert len(await database.read(list_ids)) == 2


async def test_pruning_covers_no_cut_up(database: Database, mira: Store) -> None:
    ids = await make_chained(database, mira, 6)
    await database.write(change_event, ids[2], {"created_at": NOW + DAY, "chained_at": NOW})
    await database.write(delete_event, ids[0])
    await prune(database, mira, NOW + DAYS * DAY + 1)
    found = await verify(database, mira)
    assert found.broken is not None
