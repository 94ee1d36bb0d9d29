import asyncio
from functools import partial

import msgspec
import pytest

from carryout.db import Database
from carryout.entitlements import service
from carryout.entitlements.model import Claimed, Refusal, Refused
from carryout.entitlements.service import LinkUnknown
from carryout.merchants import service as merchants
from carryout.merchants.model import RiskLevel
from carryout.orders import service as orders
from carryout.orders.model import RefundFacts, Standing
from carryout.tickets import Ticket
from tests.cast import NOW, OTHER
from tests.entitlements.makers import Outcome, World, make_world
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import ORDER_ID, order_facts

DAY = 86_400_000_000


def refusals(outcomes: list[Outcome]) -> list[Refusal]:
    return [outcome.refusal for outcome in outcomes if isinstance(outcome, Refused)]


async def refusal(world: World, at: int = NOW, address: bytes = b"an address") -> Refusal | None:
    outcome = await world.claim(address, at)
    return outcome.refusal if isinstance(outcome, Refused) else None


async def record(world: World, at: int, standing: Standing = Standing.PAID) -> None:
    await world.database.write(orders.record, world.store, order_facts(at, standing=standing), KEYRING, NOW)


async def test_a_claim_spends_one_use_and_says_what_to_deliver(database: Database) -> None:
    world = await make_world(database, download_limit="2")
    outcome = await world.claim()
    assert isinstance(outcome, Claimed)
    assert (outcome.grant.filename, outcome.grant.sha256, outcome.order.id) == ("book.epub", b"\1" * 32, world.order.id)
    assert [grant.used for grant in await world.grants()] == [1]


async def test_500_claims_at_once_on_a_limit_of_10_spend_exactly_10(database: Database) -> None:
    world = await make_world(database, download_limit="10")
    ticket = await world.ticket()
    outcomes = await asyncio.gather(*(world.claim(b"%d" % number, ticket=ticket) for number in range(500)))
    assert refusals(outcomes) == [Refusal.DOWNLOAD_LIMIT_REACHED] * 490
    assert [grant.used for grant in await world.grants()] == [10]


async def test_60_new_addresses_at_once_on_a_limit_of_2_let_exactly_2_in(database: Database) -> None:
    world = await make_world(database, address_limit="2")
    ticket = await world.ticket()
    outcomes = await asyncio.gather(*(world.claim(b"%d" % number, ticket=ticket) for number in range(60)))
    assert refusals(outcomes) == [Refusal.IP_LIMIT_REACHED] * 58
    assert [grant.used for grant in await world.grants()] == [2]


async def test_a_known_address_goes_on_when_the_order_has_its_full_number(database: Database) -> None:
    world = await make_world(database, address_limit="1")
    assert await refusal(world, address=b"home") is None
    assert await refusal(world, address=b"work") is Refusal.IP_LIMIT_REACHED
    assert await refusal(world, address=b"home") is None


async def test_an_address_is_known_by_its_digest_under_any_key(database: Database) -> None:
    world = await make_world(database, address_limit="1")
    ticket = await world.ticket()
    await world.claim(b"digest under the old key")
    both = [b"digest under the new key", b"digest under the old key"]
    assert isinstance(await database.write(service.claim, ticket, both, NOW), Claimed)
    assert await refusal(world, address=b"another") is Refusal.IP_LIMIT_REACHED


async def test_a_refused_claim_takes_no_address(database: Database) -> None:
    world = await make_world(database, address_limit="1", download_limit="1")
    await database.write(orders.block, world.store.id, world.order.id, NOW)
    assert await refusal(world, address=b"one") is Refusal.ACCESS_BLOCKED
    await database.write(orders.unblock, world.store.id, world.order.id)
    assert await refusal(world, address=b"two") is None
    assert await refusal(world, address=b"three") is Refusal.DOWNLOAD_LIMIT_REACHED


async def test_every_standing_is_asked_and_a_reopened_order_goes_on_counting(database: Database) -> None:
    world = await make_world(database, download_limit="2")
    assert await refusal(world) is None
    for at, standing, expected in (
        (1, Standing.PENDING, Refusal.ORDER_NOT_PAID),
        (2, Standing.CANCELLED, Refusal.ORDER_CANCELLED),
        (3, Standing.REFUNDED, Refusal.ORDER_REFUNDED),
        (4, Standing.PAID, None),
        (5, Standing.PAID, Refusal.DOWNLOAD_LIMIT_REACHED),
    ):
        await record(world, at, standing)
        assert await refusal(world) is expected


async def test_a_refund_ends_its_line_and_leaves_the_others(database: Database) -> None:
    world = await make_world(database)
    part, whole = RefundFacts(1, 12, 1), RefundFacts(2, 11, 1)
    await database.write(orders.record_refunds, world.store.id, ORDER_ID, [part], NOW)
    assert await refusal(world) is None
    await database.write(orders.record_refunds, world.store.id, ORDER_ID, [whole], NOW)
    assert await refusal(world) is Refusal.ORDER_REFUNDED


async def test_an_edit_that_removes_the_line_ends_its_grant(database: Database) -> None:
    world = await make_world(database)
    facts = order_facts()
    assert facts.lines is not None
    shorter = msgspec.structs.replace(facts, stamp=order_facts(1).stamp, lines=facts.lines[1:])
    await database.write(orders.record, world.store, shorter, KEYRING, NOW)
    assert await refusal(world) is Refusal.ORDER_REFUNDED
    await record(world, 2)
    assert await refusal(world) is None


async def test_a_risk_counts_from_the_stores_level_on(database: Database) -> None:
    world = await make_world(database, fraud_block="high")
    for level, at, expected in ((RiskLevel.MEDIUM, 1, None), (RiskLevel.HIGH, 2, Refusal.FRAUD_SUSPECTED)):
        await database.write(orders.record_risk, world.store.id, ORDER_ID, "shop", level, NOW + at)
        assert await refusal(world) is expected
    await world.set(fraud_block="none")
    assert await refusal(world) is None


async def test_links_of_an_uninstalled_app_work_unless_the_store_stops_them(database: Database) -> None:
    world = await make_world(database)
    await database.write(merchants.mark_uninstalled, world.store.id, NOW)
    assert await refusal(world) is None
    await world.set(links_after_uninstall="off")
    assert await refusal(world) is Refusal.ACCESS_BLOCKED


async def test_an_orders_own_terms_act_at_once_on_links_that_exist(database: Database) -> None:
    world = await make_world(database, download_limit="1", expires_days="30")
    change = partial(database.write, orders.set_terms, world.store.id, world.order)
    assert await refusal(world, NOW + 30 * DAY) is Refusal.EXPIRED
    await change({"expires_at": -1, "downloads": 0})
    assert await refusal(world, NOW + 30 * DAY) is Refusal.DOWNLOAD_LIMIT_REACHED
    await change({"expires_at": -1, "downloads": -1, "addresses": 1, "release_at": NOW + 1})
    assert await refusal(world) is Refusal.NOT_YET_AVAILABLE
    assert await refusal(world, NOW + 30 * DAY) is None
    assert await refusal(world, NOW + 30 * DAY, b"another") is Refusal.IP_LIMIT_REACHED


async def test_a_refusal_is_said_in_the_stores_words(database: Database) -> None:
    world = await make_world(database, download_limit="0", **{"message.download_limit_reached": "Write to Mira."})
    outcome = await world.claim()
    assert isinstance(outcome, Refused)
    assert outcome.message == "Write to Mira."


async def test_a_ticket_of_an_ended_generation_is_unknown(database: Database) -> None:
    world = await make_world(database)
    old = await world.ticket()
    generation = await database.write(orders.revoke_links, world.store.id, world.order.id)
    with pytest.raises(LinkUnknown):
        await world.claim(ticket=old)
    new = msgspec.structs.replace(old, generation=generation)
    assert isinstance(await world.claim(ticket=new), Claimed)


async def test_a_ticket_of_another_store_or_of_nothing_is_unknown(database: Database) -> None:
    world = await make_world(database)
    other = await database.write(make_store, OTHER)
    ticket = await world.ticket()
    for wrong in (msgspec.structs.replace(ticket, store_id=other.id), Ticket(world.store.id, 2**40, 1)):
        with pytest.raises(LinkUnknown):
            await world.claim(ticket=wrong)
        with pytest.raises(LinkUnknown):
            await database.read(service.find_by_ticket, wrong)
