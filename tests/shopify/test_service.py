"""What deliveries come to, on both databases."""

import itertools
import json
from pathlib import Path
from typing import Any, Final

import pytest

from carryout.clock import DAY
from carryout.db import Database, Tx
from carryout.entitlements import service as entitlements
from carryout.evidence import service as evidence
from carryout.evidence.model import Witness
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.orders.model import Person
from carryout.sessions import service as sessions
from carryout.sessions.model import Client, Delivery, Opened
from carryout.shopify import service
from carryout.shopify.model import Outcome
from carryout.tickets import Ticket
from tests.cast import NOW, OTHER
from tests.catalog.makers import make_file
from tests.merchants.makers import KEYRING
from tests.shopify.makers import BODIES, JOB_KINDS, Shop, open_shop
from tests.shopify.payloads import (
    DOCUMENTED,
    LINE_ID,
    ORDER_ID,
    OTHER_LINE_ID,
    REAL,
    at,
    line,
    order,
    redaction,
    refund,
    topic_of,
)

CANCELLED: Final = order(
    cancelled_at=at(6),
    updated_at=at(6),
    line_items=[line(), line(id=77, variant_id=78)],
    refunds=[refund(1, LINE_ID, 1)],  # the same that is told by itself
)
STORY: Final[tuple[tuple[str, dict[str, Any], int], ...]] = (
    ("orders/create", order(financial_status="pending", updated_at=at(1)), 1),
    ("orders/paid", order(updated_at=at(2)), 2),
    ("orders/updated", order(updated_at=at(4), line_items=[line(), line(id=77, variant_id=78)]), 4),
    ("orders/edited", {"order_edit": {"id": 1, "order_id": ORDER_ID}}, 3),
    ("refunds/create", refund(1, LINE_ID, 1), 5),
    ("orders/cancelled", CANCELLED, 6),
)


@pytest.fixture
async def shop(database: Database, data_dir: Path) -> Shop:
    return await open_shop(database, data_dir)


async def owner_of(shop: Shop) -> Store:
    owner = await shop.database.read(merchants.find_by_id, shop.owner.id)
    assert owner is not None
    return owner


# ── once


async def test_a_delivery_is_kept_and_applied(shop: Shop) -> None:
    assert await shop.send("orders/paid", order()) is Outcome.APPLIED
    (row,) = await shop.rows()
    assert (row.topic, row.outcome, row.reason, row.order_shopify_id) == (
        "orders/paid",
        Outcome.APPLIED,
        None,
        ORDER_ID,
    )
    state = await shop.state()
    assert [found.standing for found in state.orders] == ["paid"]
    assert [found.remaining for found in state.lines] == [2, 2]


async def test_a_body_is_kept_sealed(shop: Shop) -> None:
    await shop.send("orders/paid", order())
    (body,) = await shop.all(BODIES)
    assert b"example.com" not in body
    assert json.loads(KEYRING.open(body, service.SEAL)) == order()


async def test_a_repeated_delivery_changes_nothing(shop: Shop) -> None:
    await shop.send("orders/paid", order())
    before = await shop.state()
    assert await shop.send("orders/cancelled", order(cancelled_at=at(9), updated_at=at(9))) is Outcome.DUPLICATE
    assert await shop.state() == before
    assert len(await shop.rows()) == 1


async def test_two_stores_may_use_the_same_delivery_id(shop: Shop, data_dir: Path) -> None:
    other = await open_shop(shop.database, data_dir, OTHER)
    assert await shop.send("orders/paid", order()) is Outcome.APPLIED
    assert await other.send("orders/paid", order()) is Outcome.APPLIED


async def test_a_topic_that_is_not_used_is_kept(shop: Shop) -> None:
    assert await shop.send("carts/update", {"id": "x"}) is Outcome.IGNORED
    assert len(await shop.all(BODIES)) == 1


async def test_what_surprises_is_applied_and_marked(shop: Shop) -> None:
    assert await shop.send("orders/paid", order(order_number="many")) is Outcome.APPLIED
    (row,) = await shop.rows()
    assert row.reason == "order_number is no 64-bit number"


@pytest.mark.parametrize("body", [[], 5, "order", None, {}, order(id=2**63), order(id="x")])
async def test_what_cannot_be_applied_is_parked_whole(shop: Shop, body: object) -> None:
    assert await shop.send("orders/paid", body) is Outcome.PARKED
    (row,) = await shop.rows()
    assert row.reason
    assert len(await shop.all(BODIES)) == 1
    assert await shop.database.read(service.count_parked) == 1


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\u202e", "x" * 5000])
async def test_odd_texts_are_stored(shop: Shop, text: str) -> None:
    body = order(name=text, email=text, token=text, line_items=[line(title=text, sku=text, vendor=text)])
    assert await shop.send("orders/paid", body) is Outcome.APPLIED


@pytest.mark.parametrize(
    ("topic", "raw"), [pytest.param(topic_of(path), path.read_bytes(), id=path.stem) for path in (*REAL, *DOCUMENTED)]
)
async def test_every_known_payload_is_applied(shop: Shop, topic: str, raw: bytes) -> None:
    assert await shop.send(topic, raw) is Outcome.APPLIED


# ── in any order


@pytest.mark.parametrize("first", range(len(STORY)))
async def test_deliveries_come_to_the_same_in_any_order(shop: Shop, data_dir: Path, first: int) -> None:
    """Fifteen permutations that begin with each delivery; every third delivery comes twice."""
    rest = [entry for index, entry in enumerate(STORY) if index != first]
    wanted = None
    for number, tail in enumerate(itertools.islice(itertools.permutations(rest), 0, None, 8)):
        await shop.database.write(merchants.delete_store, shop.owner.id)
        shop = await open_shop(shop.database, data_dir)
        for index, (topic, body, second) in enumerate([STORY[first], *tail, *tail[::3]]):
            await shop.send(topic, body, f"{number} {index}", second)
        state = await shop.state()
        wanted = wanted or state
        assert state == wanted
    assert wanted is not None
    assert [found.standing for found in wanted.orders] == ["cancelled"]
    remaining = {found.line_item_id: found.remaining for found in wanted.lines}
    assert remaining.get(OTHER_LINE_ID, 0) == 0  # an edit removed it
    assert (remaining[LINE_ID], remaining[77]) == (1, 2)


async def test_an_older_update_never_overwrites_a_newer_one(shop: Shop) -> None:
    await shop.send("orders/updated", order(financial_status="refunded", updated_at=at(9)), "1")
    await shop.send("orders/paid", order(updated_at=at(2)), "2")
    assert [found.standing for found in (await shop.state()).orders] == ["refunded"]


async def test_a_deleted_order_stays_deleted(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    await shop.send("orders/delete", {"id": ORDER_ID}, "2")
    assert await shop.send("orders/updated", order(updated_at=at(50)), "3", 50) is Outcome.IGNORED
    assert (await shop.state()).orders == []


async def test_a_refund_may_come_before_its_order(shop: Shop) -> None:
    assert await shop.send("refunds/create", refund(), "1") is Outcome.APPLIED
    await shop.send("orders/paid", order(), "2")
    remaining = {found.line_item_id: found.remaining for found in (await shop.state()).lines}
    assert remaining == {LINE_ID: 0, OTHER_LINE_ID: 2}


# ── the shop itself


async def test_an_uninstalled_app_is_noted_and_links_stay(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1", 1)
    await shop.send("app/uninstalled", {}, "2", 5)
    owner = await owner_of(shop)
    assert owner.uninstalled_at is not None
    assert len((await shop.state()).orders) == 1


async def test_what_was_triggered_before_the_uninstall_is_still_stored(shop: Shop) -> None:
    await shop.send("app/uninstalled", {}, "1", 5)
    assert await shop.send("orders/paid", order(), "2", 4) is Outcome.APPLIED
    assert (await owner_of(shop)).uninstalled_at is not None


@pytest.mark.parametrize("is_late", [False, True])
async def test_what_was_triggered_later_tells_that_the_app_is_back(shop: Shop, is_late: bool) -> None:  # noqa: FBT001 - the two orders of arrival
    deliveries: list[tuple[str, Any, str, int]] = [("app/uninstalled", {}, "1", 5), ("orders/paid", order(), "2", 6)]
    for topic, body, delivery_id, second in reversed(deliveries) if is_late else deliveries:
        await shop.send(topic, body, delivery_id, second)
    assert (await owner_of(shop)).uninstalled_at is None


async def test_a_shop_update_renames_the_store_and_installs_nothing(shop: Shop) -> None:
    await shop.send("app/uninstalled", {}, "1", 5)
    await shop.send("shop/update", {"name": "Mira's"}, "2", 6)
    owner = await owner_of(shop)
    assert owner.name == "Mira's"
    assert owner.uninstalled_at is not None


# ── forgetting


async def test_a_redaction_forgets_the_person_and_keeps_the_order(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    assert await shop.send("customers/redact", redaction(), "2") is Outcome.APPLIED
    state = await shop.state()
    assert [(found.has_person, found.email_digest, found.customer_digest) for found in state.orders] == [
        (False, None, None)
    ]
    assert len(state.lines) == 2
    assert await shop.all(BODIES) == []
    assert "scrub" in await shop.all(JOB_KINDS)


@pytest.mark.parametrize(
    "changes", [{"customer": {"email": " BEA@example.com "}, "orders_to_redact": []}, {"customer": None}]
)
async def test_a_redaction_finds_by_e_mail_or_by_order(shop: Shop, changes: dict[str, Any]) -> None:
    await shop.send("orders/paid", order(), "1")
    await shop.send("customers/redact", redaction(**changes), "2")
    assert [found.has_person for found in (await shop.state()).orders] == [False]
    assert await shop.all(BODIES) == []


async def test_a_redaction_of_a_stranger_forgets_nobody(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    body = {"customer": {"id": 5, "email": "stranger@example.com"}, "orders_to_redact": [9]}
    assert await shop.send("customers/redact", body, "2") is Outcome.APPLIED
    assert [found.has_person for found in (await shop.state()).orders] == [True]
    assert len(await shop.all(BODIES)) == 1


async def test_a_redaction_forgets_who_downloaded_and_what_they_opened_goes_on(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    owner_id = shop.owner.id
    found = await shop.database.read(orders.find, owner_id, str(ORDER_ID))
    await shop.database.write(grant_a_file, await owner_of(shop), found.id)
    view = await shop.database.read(entitlements.view_by_id, owner_id, found.id)
    ticket = Ticket(owner_id, view.grants[0].id, 1)
    bea = Client((b"Bea's address",), Witness(b"Bea's address", b"her browser"))
    opened = await shop.database.write(sessions.decide, ticket, bea, None, Delivery.SENT, NOW)
    assert isinstance(opened, Opened)

    await shop.send("customers/redact", redaction(), "2")
    (event,) = await shop.database.read(evidence.list_of_order, owner_id, found.id)
    assert (event.type, event.address_digest, event.user_agent) == ("download.allowed", None, None)
    running = Ticket(owner_id, opened.session.id, 1)
    resumed = await shop.database.read(sessions.find_session, running, bea, NOW)
    assert resumed is not None
    assert (resumed.session.address_digest, resumed.session.user_agent) == (None, None)


async def grant_a_file(tx: Tx, owner: Store, order_id: int) -> None:
    asset = await make_file(tx, owner.id)
    await entitlements.attach_to_order(tx, owner, order_id, [asset.id], NOW)


async def test_no_later_delivery_brings_the_person_back(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    await shop.send("customers/redact", redaction(), "2")
    later: list[tuple[str, Any]] = [
        ("orders/updated", order(updated_at=at(50), financial_status="refunded")),
        ("refunds/create", refund()),
        ("fulfillments/create", {"id": 4, "order_id": ORDER_ID, "email": "bea@example.com"}),
        ("customers/data_request", {"customer": {"email": "bea@example.com"}}),
        ("orders/paid", order(id=None)),
    ]
    for index, (topic, body) in enumerate(later):
        await shop.send(topic, body, f"later {index}", 50)
    state = await shop.state()
    assert [(found.standing, found.has_person) for found in state.orders] == [("refunded", False)]
    assert await shop.all(BODIES) == []
    assert await shop.database.read(service.count_parked) == 0


async def test_a_redaction_before_its_order_still_counts(shop: Shop) -> None:
    await shop.send("customers/redact", redaction(), "1")
    await shop.send("orders/paid", order(), "2")
    assert [found.has_person for found in (await shop.state()).orders] == [False]
    assert await shop.all(BODIES) == []


async def test_a_redaction_touches_no_other_store(shop: Shop, data_dir: Path) -> None:
    other = await open_shop(shop.database, data_dir, OTHER)
    await other.send("orders/paid", order(), "1")
    await shop.send("customers/redact", redaction(), "1")
    found = await shop.database.read(orders.find, other.owner.id, str(ORDER_ID))
    person = await shop.database.read(orders.open_person, other.owner.id, found.id, KEYRING)
    assert person != Person()
    assert len(await shop.all(BODIES)) == 1


async def test_a_redaction_for_another_shop_is_parked(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    assert await shop.send("customers/redact", redaction(shop_domain=OTHER.domain), "2") is Outcome.PARKED
    assert await shop.send("shop/redact", {"shop_domain": OTHER.domain}, "3") is Outcome.PARKED
    assert [found.has_person for found in (await shop.state()).orders] == [True]


async def test_a_shop_redaction_removes_the_store_and_no_other(shop: Shop, data_dir: Path) -> None:
    other = await open_shop(shop.database, data_dir, OTHER)
    await shop.send("orders/paid", order(), "1")
    await other.send("orders/paid", order(), "1")
    assert await shop.send("shop/redact", {"shop_id": 1, "shop_domain": shop.owner.domain}, "2") is Outcome.APPLIED
    assert await shop.database.read(merchants.find_by_id, shop.owner.id) is None
    assert await shop.rows() == []
    assert len(await other.rows()) == 1
    assert len((await shop.state()).orders) == 1
    assert {"delete_store_files", "scrub"} <= set(await shop.all(JOB_KINDS))


# ── pruning


async def test_old_bodies_go_first_and_old_rows_later_but_never_what_is_parked(shop: Shop) -> None:
    await shop.send("orders/paid", order(), "1")
    await shop.send("orders/paid", {}, "2")
    assert await shop.database.write(service.prune, NOW + 29 * DAY) == 0
    assert await shop.database.write(service.prune, NOW + 31 * DAY) == 1
    assert len(await shop.all(BODIES)) == 1
    assert await shop.send("orders/paid", order(), "1") is Outcome.DUPLICATE
    assert await shop.database.write(service.prune, NOW + 91 * DAY) == 1
    assert [row.outcome for row in await shop.rows()] == [Outcome.PARKED]
