import asyncio
from collections.abc import Sequence
from functools import partial

import msgspec
import pytest

from carryout.catalog import service as catalog
from carryout.clock import MINUTE
from carryout.db import Database
from carryout.entitlements.model import Refusal, Refused
from carryout.entitlements.service import LinkUnknown
from carryout.evidence import service as evidence
from carryout.merchants import service as merchants
from carryout.merchants.model import RiskLevel
from carryout.orders import service as orders
from carryout.orders.model import RefundFacts, Standing
from carryout.sessions import service
from carryout.sessions.model import Client, Delivery, Opened, SessionKind
from carryout.storage import Blob
from carryout.tickets import Ticket
from tests.cast import NOW, OTHER
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import ORDER_ID, order_facts
from tests.sessions.makers import (
    BEA,
    BUDGET,
    DAY,
    SIZE,
    STRANGER,
    TRAIN,
    Outcome,
    client_at,
    make_shop,
)


def refusals(outcomes: Sequence[Outcome]) -> list[Refusal]:
    return [outcome.refusal for outcome in outcomes if isinstance(outcome, Refused)]


# ── a use


async def test_a_download_spends_one_use_and_pins_the_version(database: Database) -> None:
    shop = await make_shop(database, download_limit="2")
    opened = await shop.open()
    (part,) = opened.parts
    assert not opened.is_joined
    assert (part.filename, part.sha256, part.size_bytes, part.budget_bytes) == ("book.epub", b"\1" * 32, SIZE, BUDGET)
    assert (opened.session.kind, opened.session.ends_at) == (SessionKind.FILE, NOW + DAY)
    assert await shop.used() == [1]
    assert await shop.events() == ["download.allowed"]
    assert await shop.find(opened.session) == msgspec.structs.replace(opened, is_joined=True)


async def test_500_downloads_at_once_on_a_limit_of_10_spend_exactly_10(database: Database) -> None:
    shop = await make_shop(database, download_limit="10")
    outcomes = await asyncio.gather(*(shop.decide(b"%d" % number) for number in range(500)))
    assert refusals(outcomes) == [Refusal.DOWNLOAD_LIMIT_REACHED] * 490
    assert await shop.used() == [10]


async def test_60_requests_at_once_from_one_address_share_one_use(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    outcomes = await asyncio.gather(*(shop.decide() for _ in range(60)))
    assert refusals(outcomes) == []
    assert len({outcome.session.id for outcome in outcomes if isinstance(outcome, Opened)}) == 1
    assert await shop.used() == [1]


async def test_60_new_addresses_at_once_on_a_limit_of_2_let_exactly_2_in(database: Database) -> None:
    shop = await make_shop(database, address_limit="2")
    outcomes = await asyncio.gather(*(shop.decide(b"%d" % number) for number in range(60)))
    assert refusals(outcomes) == [Refusal.IP_LIMIT_REACHED] * 58
    assert await shop.used() == [2]


async def test_a_known_address_goes_on_when_the_order_has_its_full_number(database: Database) -> None:
    shop = await make_shop(database, address_limit="1", files=2)
    assert await shop.refusal() is None
    assert await shop.refusal(STRANGER) is Refusal.IP_LIMIT_REACHED
    assert await shop.refusal(number=1) is None


async def test_an_address_is_known_by_its_digest_under_any_key(database: Database) -> None:
    shop = await make_shop(database, address_limit="1", download_limit="1")
    first = await shop.open(b"digest under the old key")
    both = Client((b"digest under the new key", b"digest under the old key"))
    joined = await database.write(service.decide, shop.ticket(), both, None, Delivery.SENT, NOW)
    assert isinstance(joined, Opened)
    assert joined.session.id == first.session.id
    assert await shop.refusal(STRANGER) is Refusal.DOWNLOAD_LIMIT_REACHED


async def test_a_refusal_takes_no_use_and_no_address_and_is_recorded(database: Database) -> None:
    shop = await make_shop(database, address_limit="1", download_limit="1")
    await database.write(orders.block, shop.store.id, shop.order.id, NOW)
    assert await shop.refusal(STRANGER) is Refusal.ACCESS_BLOCKED
    await database.write(orders.unblock, shop.store.id, shop.order.id)
    assert await shop.refusal() is None
    assert await shop.events() == ["download.refused", "download.allowed"]


# ── joining


async def test_a_client_joins_its_open_session_at_the_limit_and_a_stranger_does_not(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    first = await shop.open()
    again = await shop.open(at=MINUTE)
    assert again.is_joined
    assert again.session.id == first.session.id
    assert await shop.refusal(STRANGER) is Refusal.DOWNLOAD_LIMIT_REACHED
    assert await shop.used() == [1]
    assert await shop.events() == ["download.allowed", "download.refused"]


async def test_a_session_without_the_budget_asked_for_ends_and_keeps_its_use(database: Database) -> None:
    shop = await make_shop(database, download_limit="2")
    first = await shop.open()
    await shop.send(first.session, (0, SIZE - 1), (0, SIZE - 1))
    left = BUDGET - 2 * (SIZE - 1)
    assert (await shop.open(asked=left)).session.id == first.session.id
    second = await shop.open(asked=left + 1)
    assert second.session.id != first.session.id
    assert await shop.used() == [2]
    assert await shop.accounts() == [0]
    with pytest.raises(service.SessionEnded):
        await shop.find(first.session)


async def test_an_open_session_gets_nobody_past_a_block_or_an_expiry(database: Database) -> None:
    shop = await make_shop(database, download_limit="1", expires_days="1")
    await shop.open()
    assert await shop.refusal(at=DAY - 1) is None
    await database.write(orders.block, shop.store.id, shop.order.id, NOW)
    assert await shop.refusal() is Refusal.ACCESS_BLOCKED
    await database.write(orders.unblock, shop.store.id, shop.order.id)
    await database.write(orders.set_terms, shop.store.id, shop.order, {"expires_at": NOW})
    assert await shop.refusal() is Refusal.EXPIRED
    assert await shop.used() == [1]


async def test_a_new_version_is_for_new_sessions_and_the_open_one_keeps_its_own(database: Database) -> None:
    shop = await make_shop(database)
    await shop.open()
    asset = await database.read(catalog.find_asset, shop.store.id, shop.grants[0].asset_uid)
    await database.write(catalog.add_version, shop.store.id, asset.id, Blob(b"\2" * 32, 2, 5), NOW)
    assert (await shop.open()).parts[0].sha256 == b"\1" * 32
    assert (await shop.open(TRAIN)).parts[0].sha256 == b"\2" * 32


async def test_a_link_is_spent_once_a_day_and_address_and_its_use_is_kept(database: Database) -> None:
    shop = await make_shop(database, files=0, link=True, download_limit="2")
    first = await shop.open()
    assert (first.session.kind, first.link_url) == (SessionKind.LINK, "https://example.com/course")
    assert (await shop.open(at=DAY - 1)).link_url == "https://example.com/course"
    assert await shop.used() == [1]
    assert (await shop.open(at=DAY)).session.id != first.session.id
    assert await shop.used() == [2]
    assert await shop.refusal(STRANGER, DAY + 2 * MINUTE) is Refusal.DOWNLOAD_LIMIT_REACHED


async def test_a_redirect_keeps_its_use_and_is_joined_however_much_is_asked(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    for _ in range(5):
        await shop.open(delivery=Delivery.REDIRECT)
    assert await shop.refusal(TRAIN, 2 * MINUTE) is Refusal.DOWNLOAD_LIMIT_REACHED
    assert await shop.settle(DAY) == 1
    assert (await shop.used(), await shop.accounts()) == ([1], [0])


# ── what is settled on the way


async def test_a_use_is_needed_elsewhere_after_a_minute_of_silence(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    train = await shop.open(TRAIN)
    await shop.send(train.session, (0, 100), at=MINUTE)
    assert await shop.refusal(at=2 * MINUTE - 1) is Refusal.DOWNLOAD_LIMIT_REACHED
    sofa = await shop.open(at=2 * MINUTE)
    assert (await shop.used(), await shop.accounts()) == ([1], [100])
    assert await shop.stopped(train.session, sofa.session, at=2 * MINUTE) == [train.session.id]
    assert "download.incomplete" in await shop.events()


async def test_only_so_many_idle_sessions_end_as_are_needed_the_most_idle_first(database: Database) -> None:
    shop = await make_shop(database, download_limit="2")
    first, second = await shop.open(TRAIN), await shop.open(BEA)
    await shop.send(first.session, (0, 1), at=1)
    await shop.open(STRANGER, 2 * MINUTE)
    assert await shop.stopped(first.session, second.session) == [second.session.id]


async def test_a_finished_download_does_not_end_for_another(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    first = await shop.open()
    await shop.send(first.session, (0, SIZE))
    assert await shop.refusal(STRANGER, DAY - 1) is Refusal.DOWNLOAD_LIMIT_REACHED
    assert await shop.find(first.session, at=DAY - 1) is not None


async def test_who_would_be_refused_anyway_ends_nobodys_session(database: Database) -> None:
    shop = await make_shop(database, download_limit="1", address_limit="1")
    first = await shop.open()
    assert await shop.refusal(STRANGER, 2 * MINUTE) is Refusal.DOWNLOAD_LIMIT_REACHED
    assert await shop.stopped(first.session) == []


async def test_a_session_of_yesterday_gives_its_use_back_to_who_comes(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    first = await shop.open()
    await shop.send(first.session, (0, SIZE // 2))
    assert (await shop.open(at=DAY)).session.id != first.session.id
    assert (await shop.used(), await shop.accounts()) == ([1], [SIZE // 2])


async def test_broken_downloads_are_charged_a_use_for_each_copy_they_come_to(database: Database) -> None:
    shop = await make_shop(database, download_limit="2")
    for day in range(2):
        half = await shop.open(at=day * DAY)
        await shop.send(half.session, (0, SIZE // 2), at=day * DAY)
    await shop.open(at=2 * DAY)
    assert (await shop.used(), await shop.accounts()) == ([2], [0])
    assert await shop.refusal(STRANGER, 2 * DAY) is Refusal.DOWNLOAD_LIMIT_REACHED


async def test_sessions_of_revoked_links_end_when_the_new_link_is_used(database: Database) -> None:
    shop = await make_shop(database, download_limit="1")
    first = await shop.open()
    generation = await database.write(orders.revoke_links, shop.store.id, shop.order.id)
    with pytest.raises(LinkUnknown):
        await shop.decide()
    renewed = msgspec.structs.replace(shop.ticket(), generation=generation)
    outcome = await database.write(service.decide, renewed, client_at(BEA), None, Delivery.SENT, NOW)
    assert isinstance(outcome, Opened)
    assert (outcome.session.id != first.session.id, await shop.used()) == (True, [1])


# ── verdicts at the door


async def test_every_standing_is_asked_and_a_reopened_order_goes_on_counting(database: Database) -> None:
    shop = await make_shop(database, download_limit="2")
    for at, standing, expected in (
        (1, Standing.PENDING, Refusal.ORDER_NOT_PAID),
        (2, Standing.CANCELLED, Refusal.ORDER_CANCELLED),
        (3, Standing.REFUNDED, Refusal.ORDER_REFUNDED),
        (4, Standing.PAID, None),
        (5, Standing.PAID, None),
        (6, Standing.PAID, Refusal.DOWNLOAD_LIMIT_REACHED),
    ):
        await database.write(orders.record, shop.store, order_facts(at, standing=standing), KEYRING, NOW)
        assert await shop.refusal(b"address %d" % at) is expected


async def test_a_refund_ends_its_line_and_leaves_the_others(database: Database) -> None:
    shop = await make_shop(database)
    part, whole = RefundFacts(1, 12, 1), RefundFacts(2, 11, 1)
    await database.write(orders.record_refunds, shop.store.id, ORDER_ID, [part], NOW)
    assert await shop.refusal() is None
    await database.write(orders.record_refunds, shop.store.id, ORDER_ID, [whole], NOW)
    assert await shop.refusal() is Refusal.ORDER_REFUNDED


async def test_an_edit_that_removes_the_line_ends_its_grant(database: Database) -> None:
    shop = await make_shop(database)
    facts = order_facts()
    assert facts.lines is not None
    shorter = msgspec.structs.replace(facts, stamp=order_facts(1).stamp, lines=facts.lines[1:])
    await database.write(orders.record, shop.store, shorter, KEYRING, NOW)
    assert await shop.refusal() is Refusal.ORDER_REFUNDED
    await database.write(orders.record, shop.store, order_facts(2), KEYRING, NOW)
    assert await shop.refusal() is None


async def test_a_risk_counts_from_the_stores_level_on(database: Database) -> None:
    shop = await make_shop(database, fraud_block="high")
    for level, at, expected in ((RiskLevel.MEDIUM, 1, None), (RiskLevel.HIGH, 2, Refusal.FRAUD_SUSPECTED)):
        await database.write(orders.record_risk, shop.store.id, ORDER_ID, "shop", level, NOW + at)
        assert await shop.refusal() is expected
    await shop.set(fraud_block="none")
    assert await shop.refusal() is None


async def test_links_of_an_uninstalled_app_work_unless_the_store_stops_them(database: Database) -> None:
    shop = await make_shop(database)
    await database.write(merchants.mark_uninstalled, shop.store.id, NOW)
    assert await shop.refusal() is None
    await shop.set(links_after_uninstall="off")
    assert await shop.refusal() is Refusal.ACCESS_BLOCKED


async def test_an_orders_own_terms_act_at_once_on_links_that_exist(database: Database) -> None:
    shop = await make_shop(database, download_limit="1", expires_days="30")
    change = partial(database.write, orders.set_terms, shop.store.id, shop.order)
    assert await shop.refusal(at=30 * DAY) is Refusal.EXPIRED
    await change({"expires_at": -1, "downloads": 0})
    assert await shop.refusal(at=30 * DAY) is Refusal.DOWNLOAD_LIMIT_REACHED
    await change({"expires_at": -1, "downloads": -1, "addresses": 1, "release_at": NOW + 1})
    assert await shop.refusal() is Refusal.NOT_YET_AVAILABLE
    assert await shop.refusal(at=30 * DAY) is None
    assert await shop.refusal(STRANGER, 30 * DAY) is Refusal.IP_LIMIT_REACHED


async def test_a_refusal_is_said_in_the_stores_words(database: Database) -> None:
    shop = await make_shop(database, download_limit="0")
    await shop.set(**{"message.download_limit_reached": "Write to Mira."})
    outcome = await shop.decide()
    assert isinstance(outcome, Refused)
    assert outcome.message == "Write to Mira."


async def test_a_ticket_of_another_store_or_of_nothing_is_unknown(database: Database) -> None:
    shop = await make_shop(database)
    other = await database.write(make_store, OTHER)
    ticket = shop.ticket()
    for wrong in (msgspec.structs.replace(ticket, store_id=other.id), Ticket(shop.store.id, 2**40, 1)):
        with pytest.raises(LinkUnknown):
            await database.write(service.decide, wrong, client_at(BEA), None, Delivery.SENT, NOW)
        with pytest.raises(LinkUnknown):
            await database.write(service.decide_all, wrong, client_at(BEA), None, lambda *_: None, Delivery.SENT, NOW)


async def test_a_redacted_order_goes_on_and_its_record_names_nobody(database: Database) -> None:
    shop = await make_shop(database)
    await database.write(partial(orders.redact, order_ids=[ORDER_ID], now=NOW), shop.store.id, KEYRING)
    opened = await shop.open()
    await shop.send(opened.session, (0, SIZE))
    rows = await database.read(evidence.list_of_order, shop.store.id, shop.order.id)
    assert [row.type for row in rows] == ["download.allowed", "download.completed"]
    assert {(row.address_digest, row.user_agent) for row in rows} == {(None, None)}
    assert opened.session.user_agent is None
