from functools import partial
from typing import Any

import pytest

from carryout.db import Database
from carryout.entitlements import service as entitlements
from carryout.merchants.model import Store
from carryout.orders import service
from carryout.orders.model import OrderFacts, Person, RecordedOrder
from tests.cast import BEA, NOW, OTHER, STRANGER
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import CUSTOMER_ID, ORDER_ID, TOKEN, make_order, order_facts

LATER = NOW + 1_000_000
WAYS: list[dict[str, Any]] = [
    {"order_ids": [ORDER_ID]},
    {"customer_id": CUSTOMER_ID},
    {"email": " BEA@example.com"},
]


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


async def record(database: Database, store: Store, facts: OrderFacts) -> RecordedOrder:
    recorded = await database.write(service.record, store, facts, KEYRING, NOW)
    assert recorded is not None
    return recorded


async def redact(database: Database, store: Store, way: dict[str, Any], now: int = LATER) -> list[int]:
    return await database.write(partial(service.redact, **way, now=now), store.id, KEYRING)


async def person(database: Database, store: Store, order_id: int) -> Person:
    return await database.read(service.open_person, store.id, order_id, KEYRING)


async def test_the_person_of_an_order_is_kept_sealed(database: Database, mira: Store) -> None:
    order = await database.write(make_order, mira)
    assert await person(database, mira, order.id) == Person(BEA.email, BEA.name, CUSTOMER_ID)


@pytest.mark.parametrize("way", WAYS)
async def test_a_redacted_person_is_gone_and_the_order_works(
    database: Database, mira: Store, way: dict[str, Any]
) -> None:
    order = await database.write(make_order, mira)
    assert await redact(database, mira, way) == [ORDER_ID]
    assert await person(database, mira, order.id) == Person()
    view = await database.read(entitlements.view_by_token, service.token_digest(TOKEN.encode()), None)
    assert view is not None
    assert [line.name for line in view.lines] == ["Book", "Song"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [-1, 0, 5])
async def test_no_later_delivery_brings_the_person_back(
    database: Database, mira: Store, way: dict[str, Any], at: int
) -> None:
    order = await database.write(make_order, mira)
    await redact(database, mira, way)
    assert (await record(database, mira, order_facts(at))).is_redacted
    assert await person(database, mira, order.id) == Person()


@pytest.mark.parametrize("way", WAYS)
async def test_a_redaction_that_comes_before_its_order_holds(
    database: Database, mira: Store, way: dict[str, Any]
) -> None:
    assert await redact(database, mira, way) == []
    recorded = await record(database, mira, order_facts())
    assert recorded.is_redacted
    assert await person(database, mira, recorded.id) == Person()


@pytest.mark.parametrize("way", WAYS)
async def test_a_redacted_person_stays_away_under_another_address(
    database: Database, mira: Store, way: dict[str, Any]
) -> None:
    """A later payload of the order that knows its buyer by other signs says who they are no more."""
    order = await database.write(make_order, mira)
    await redact(database, mira, way)
    changed = order_facts(5, person=Person("bea@elsewhere.example", BEA.name, None))
    assert (await record(database, mira, changed)).is_redacted
    assert await person(database, mira, order.id) == Person()


async def test_an_older_payload_shows_that_an_order_is_of_a_redacted_person(database: Database, mira: Store) -> None:
    await redact(database, mira, {"customer_id": CUSTOMER_ID})
    newest = await record(database, mira, order_facts(5, person=Person("bea@elsewhere.example")))
    assert (await record(database, mira, order_facts())).is_redacted
    assert await person(database, mira, newest.id) == Person()


@pytest.mark.parametrize("way", WAYS[1:])
async def test_what_is_bought_after_a_redaction_keeps_its_person(
    database: Database, mira: Store, way: dict[str, Any]
) -> None:
    await redact(database, mira, way)
    new = await record(database, mira, order_facts(shopify_id=7, token=None, ordered_at=LATER + 1))
    assert not new.is_redacted
    assert (await person(database, mira, new.id)).email == BEA.email


async def test_a_second_redaction_reaches_what_was_bought_since_the_first(database: Database, mira: Store) -> None:
    """Also an order that was placed before it and is delivered after it."""
    for now in (LATER, LATER + 10):
        await redact(database, mira, {"customer_id": CUSTOMER_ID}, now)
    late = await record(database, mira, order_facts(shopify_id=7, token=None, ordered_at=LATER + 5))
    assert late.is_redacted


async def test_a_redaction_touches_nobody_else(database: Database, mira: Store) -> None:
    stranger = Person(STRANGER.email, STRANGER.name, 4)
    await database.write(make_order, mira)
    same_store = await record(database, mira, order_facts(shopify_id=7, token=None, person=stranger))
    other = await database.write(make_store, OTHER)
    same_person = await record(database, other, order_facts())
    await redact(database, mira, {"order_ids": [ORDER_ID], "customer_id": CUSTOMER_ID, "email": BEA.email})
    assert await person(database, mira, same_store.id) == stranger
    assert (await person(database, other, same_person.id)).email == BEA.email


async def test_an_order_without_a_person_is_no_ones(database: Database, mira: Store) -> None:
    nobody = await record(database, mira, order_facts(person=Person()))
    assert await redact(database, mira, {"customer_id": CUSTOMER_ID, "email": BEA.email}) == []
    assert await person(database, mira, nobody.id) == Person()
