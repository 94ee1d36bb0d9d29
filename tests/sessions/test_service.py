import asyncio
from functools import partial

import msgspec
import pytest

from carryout.catalog import service as catalog
from carryout.clock import MINUTE
from carryout.db import Database, Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import Refusal, Refused
from carryout.entitlements.service import LinkUnknown
from carryout.evidence import service as evidence
from carryout.merchants import service as merchants
from carryout.merchants.model import RiskLevel
from carryout.orders import service as orders
from carryout.orders.model import RefundFacts, Standing
from carryout.sessions import service, store
from carryout.sessions.model import Opened, Session, SessionKind
from carryout.tickets import Ticket
from tests.cast import NOW, OTHER
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import ORDER_ID, order_facts
from tests.sessions.makers import BEA, DAY, SIZE, STRANGER, TRAIN, Shop, client_at, make_shop, opened


async def stop(shop: Shop, how: str) -> Refusal:
    """Take away what the buyer has, and what the sending door calls it."""
    database, store = shop.database, shop.store
    match how:
        case "block":
            await database.write(orders.block, store.id, shop.order.id, NOW)
            return Refusal.ACCESS_BLOCKED
        case "cancel":
            facts = order_facts(1, standing=Standing.CANCELLED)
            await database.write(orders.record, store, facts, KEYRING, NOW)
            return Refusal.ORDER_CANCELLED
        case "fraud":
            await shop.set(fraud_block="high")
            await database.write(orders.record_risk, store.id, ORDER_ID, "shop", RiskLevel.HIGH, NOW)
            return Refusal.FRAUD_SUSPECTED
        case "refund":
            await database.write(orders.record_refunds, store.id, ORDER_ID, [RefundFacts(2, 11, 1)], NOW)
            return Refusal.ORDER_REFUNDED
        case "detach":
            asset = await database.read(catalog.find_asset, store.id, shop.grants[0].asset_uid)
            detach = partial(entitlements.detach, skus=["book-epub"], revokes=True, now=NOW)
            await database.write(detach, store, asset.id)
        case "uninstall":
            await shop.set(links_after_uninstall="off")
            await database.write(merchants.mark_uninstalled, store.id, NOW)
    return Refusal.ACCESS_BLOCKED


STOPS = ("block", "cancel", "fraud", "refund", "detach", "uninstall")


@pytest.mark.parametrize("how", STOPS)
async def test_what_takes_an_order_away_stops_its_running_downloads(database: Database, how: str) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    assert await shop.stopped(session) == []
    refusal = await stop(shop, how)
    assert await shop.stopped(session) == [session.id]
    assert await shop.find(session) is None
    outcome = await shop.resume(session)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is refusal
    assert (await shop.events())[-1] == "download.refused"


async def test_a_zip_stops_when_one_of_its_files_is_taken_away(database: Database) -> None:
    shop = await make_shop(database, 2)
    session = opened(await shop.decide_all()).session
    await stop(shop, "refund")
    assert await shop.stopped(session) == [session.id]


async def test_expiry_release_payment_and_limits_let_a_running_download_finish(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    session = (await shop.open()).session
    terms = {"expires_at": NOW, "release_at": NOW + DAY, "downloads": 0}
    await database.write(orders.set_terms, shop.store.id, shop.order, terms)
    await database.write(orders.record, shop.store, order_facts(1, standing=Standing.PENDING), KEYRING, NOW)
    asset = await database.read(catalog.find_asset, shop.store.id, shop.grants[0].asset_uid)
    await database.write(catalog.remove_asset, shop.store.id, asset.id, NOW)
    assert await shop.stopped(session, at=DAY - 1) == []
    assert await shop.find(session, at=DAY - 1) is not None
    assert await shop.stopped(session, at=DAY) == [session.id]


async def test_revoked_links_end_running_downloads(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    generation = await database.write(orders.revoke_links, shop.store.id, shop.order.id)
    assert await shop.stopped(session) == [session.id]
    with pytest.raises(LinkUnknown):
        await shop.find(session)
    with pytest.raises(LinkUnknown):
        await shop.resume(session)
    forged = Ticket(shop.store.id, session.id, generation)
    with pytest.raises(LinkUnknown):
        await database.write(service.resume, forged, client_at(BEA), NOW)


async def test_an_unblocked_order_goes_on_where_it_was(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await stop(shop, "block")
    await database.write(orders.unblock, shop.store.id, shop.order.id)
    assert await shop.stopped(session) == []
    assert await shop.find(session) is not None


async def test_sessions_of_many_orders_are_watched_at_once(database: Database) -> None:
    shop = await make_shop(database)
    sessions = [(await shop.open(b"%d" % number)).session for number in range(5)]
    await shop.database.write(_end, shop.store.id, sessions[3])
    gone = msgspec.structs.replace(sessions[0], id=2**40)
    assert await shop.stopped(*sessions, gone) == [sessions[3].id, 2**40]
    assert await shop.stopped() == []


async def _end(tx: Tx, store_id: int, session: Session) -> None:
    await store.end_session(tx, store_id, session.id, NOW)


# ── addresses


async def test_a_new_address_in_a_session_counts_against_the_limit(database: Database) -> None:
    shop = await make_shop(database, address_limit="2")
    session = (await shop.open()).session
    assert await shop.find(session, TRAIN) is None
    assert isinstance(await shop.resume(session, TRAIN), Opened)
    assert await shop.find(session, TRAIN) is not None
    outcome = await shop.resume(session, STRANGER)
    assert isinstance(outcome, Refused)
    assert outcome.refusal is Refusal.IP_LIMIT_REACHED
    assert await shop.find(session, STRANGER) is None
    assert await shop.used() == [1]


async def test_60_new_addresses_at_once_in_one_session_keep_to_the_limit(database: Database) -> None:
    shop = await make_shop(database, address_limit="3")
    session = (await shop.open()).session
    outcomes = await asyncio.gather(*(shop.resume(session, b"%d" % number) for number in range(60)))
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 58


async def test_a_session_of_another_store_or_of_nothing_is_unknown(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    other = await database.write(make_store, OTHER)
    for wrong in (Ticket(other.id, session.id, 1), Ticket(shop.store.id, 2**40, 1)):
        with pytest.raises(LinkUnknown):
            await database.read(service.find_session, wrong, client_at(BEA), NOW)
        with pytest.raises(LinkUnknown):
            await database.read(service.look, wrong, NOW)
        with pytest.raises(LinkUnknown):
            await database.write(service.resume, wrong, client_at(BEA), NOW)


async def test_a_look_needs_no_known_address_and_sees_a_stop(database: Database) -> None:
    shop = await make_shop(database, address_limit="1")
    found = await shop.open()
    ticket = Ticket(shop.store.id, found.session.id, 1)
    assert await database.read(service.look, ticket, NOW) == msgspec.structs.replace(found, is_joined=True)
    await stop(shop, "block")
    assert await database.read(service.look, ticket, NOW) is None
    with pytest.raises(service.SessionEnded) as ended:
        await database.read(service.look, ticket, NOW + DAY)
    assert (ended.value.code, ended.value.order_id) == ("session_ended", shop.order.id)


# ── the page


async def test_the_page_sees_what_its_client_may_join(database: Database) -> None:
    shop = await make_shop(database, 2)
    file, archive = await shop.open(), opened(await shop.decide_all())
    await shop.open(TRAIN)

    async def joinable(address: bytes, at: int = 0) -> list[tuple[int, SessionKind, tuple[int, ...]]]:
        found = await database.read(service.list_open, shop.store.id, shop.order.id, [address], NOW + at)
        return [msgspec.structs.astuple(each) for each in found]

    ours = (file.session.id, SessionKind.FILE, (shop.grants[0].id,))
    zipped = (archive.session.id, SessionKind.ZIP, tuple(part.grant_id for part in archive.parts))
    assert await joinable(BEA) == [ours, zipped]
    assert await joinable(STRANGER) == []
    assert await joinable(BEA, DAY) == []
    await shop.send(file.session, (0, SIZE), (0, SIZE))
    assert await joinable(BEA) == [zipped]


async def foreseen(shop: Shop, address: bytes, at: int) -> list[int]:
    """The uses that the page counts for a client who comes now."""
    view = await shop.database.read(entitlements.view_by_id, shop.store.id, shop.order.id)
    grants = await shop.database.read(service.foresee, view.order, view.grants, [address], NOW + at)
    return [grant.used for grant in grants]


async def test_the_page_counts_the_uses_that_the_door_is_going_to_find(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    train = await shop.open(TRAIN)
    await shop.send(train.session, (0, 100), at=MINUTE)
    assert await foreseen(shop, BEA, 2 * MINUTE - 1) == [1]
    assert await foreseen(shop, BEA, 2 * MINUTE) == [0]
    assert await foreseen(shop, TRAIN, 2 * MINUTE) == [1]  # it goes on with its own
    assert await foreseen(shop, TRAIN, DAY) == [0]
    assert await shop.used() == [1]
    assert await shop.refusal(BEA, 2 * MINUTE) is None


async def test_the_page_gives_back_no_use_that_the_door_keeps(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    half = await shop.open(TRAIN)
    await shop.send(half.session, (0, SIZE // 2), (0, SIZE // 2))  # a copy's bytes: its use is spent for them
    for at in (MINUTE, DAY):
        assert await foreseen(shop, BEA, at) == [1]
    assert await shop.refusal(BEA, DAY) is Refusal.DOWNLOAD_LIMIT_REACHED


async def test_the_page_needs_no_more_uses_than_one(database: Database) -> None:
    shop = await make_shop(database, download_limit="2")
    await shop.open(TRAIN)
    await shop.open(STRANGER)
    assert await foreseen(shop, BEA, MINUTE) == [1]
    await shop.set_grant(used=3, limit=None, undelivered_bytes=0)
    assert await foreseen(shop, BEA, MINUTE) == [3]


# ── forgetting


async def test_a_forgotten_person_is_in_no_session_and_their_download_goes_on(database: Database) -> None:
    shop = await make_shop(database, address_limit="1")
    session = (await shop.open()).session
    assert await database.write(service.forget, shop.store.id + 1, [shop.order.id]) == 0
    assert await database.write(service.forget, shop.store.id, [shop.order.id]) == 1
    found = await shop.find(session)
    assert found is not None
    assert (found.session.address_digest, found.session.user_agent) == (None, None)
    assert await database.write(service.forget, shop.store.id, []) == 0


async def test_a_redaction_waits_for_who_records_and_forgets_what_they_wrote(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await asyncio.gather(shop.send(session, (0, SIZE)), database.write(_redact, shop))
    rows = await database.read(evidence.list_of_order, shop.store.id, shop.order.id)
    assert {(row.address_digest, row.user_agent) for row in rows} == {(None, None)}


async def _redact(tx: Tx, shop: Shop) -> None:
    await orders.redact(tx, shop.store.id, KEYRING, order_ids=[ORDER_ID], now=NOW)
    await service.forget(tx, shop.store.id, [shop.order.id])
    await evidence.forget(tx, shop.store.id, [shop.order.id])


async def test_what_a_session_is_remembered_by_goes_when_it_ends(database: Database) -> None:
    shop = await make_shop(database)
    session = (await shop.open()).session
    await shop.settle(DAY)
    ended = await database.read(store.find_session, shop.store.id, session.id)
    assert ended is not None
    assert (ended.address_digest, ended.user_agent, ended.links, ended.ended_at) == (None, None, None, NOW + DAY)


async def test_the_list_of_links_is_sealed(database: Database) -> None:
    shop = await make_shop(database, link=True)
    session = opened(await shop.decide_all()).session
    assert session.links is not None
    assert b"Course" not in session.links
    assert service.open_links(session, KEYRING) == b"Course"
    assert service.open_links((await shop.open()).session, KEYRING) is None
