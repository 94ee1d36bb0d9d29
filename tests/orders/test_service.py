from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select

from carryout.db import Database, Query, Tx
from carryout.db.tables import edits, lines, orders, products, refunds, risks
from carryout.entitlements import service as entitlements
from carryout.merchants.model import RiskLevel, Store
from carryout.orders import service
from carryout.orders.model import OrderFacts, RefundFacts, Standing
from carryout.orders.service import OrderAmbiguous, OrderUnknown
from tests.cast import NOW, OTHER
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import BOOK_LINE, ORDER_ID, SONG_LINE, TIP_LINE, make_order, order_facts

Step = Callable[[Tx, Store], Awaitable[Any]]


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


async def record(tx: Tx, store: Store, facts: OrderFacts) -> None:
    recorded = await service.record(tx, store, facts, KEYRING, NOW)
    if recorded is not None:
        await entitlements.regrant(tx, store, recorded.id, NOW)


async def refund(tx: Tx, store: Store, *facts: RefundFacts) -> None:
    await service.record_refunds(tx, store.id, ORDER_ID, facts, NOW)


async def assess(tx: Tx, store: Store, provider: str, level: RiskLevel, at: int) -> None:
    await service.record_risk(tx, store.id, ORDER_ID, provider, level, NOW + at)


async def edit(tx: Tx, store: Store, at: int) -> None:
    await service.mark_for_refresh(tx, store.id, ORDER_ID, NOW + at)


async def delete(tx: Tx, store: Store) -> None:
    await service.delete(tx, store.id, ORDER_ID, NOW)


_DUMPED = (
    (
        orders,
        (
            "shopify_id order_number name token_digest standing locale ordered_at updated_at triggered_at standing_rank"
            " lines_updated_at email_digest customer_digest redacted_at risk_rank"
        ),
    ),
    (lines, "line_item_id position product_id variant_id name quantity current_quantity remaining"),
    (refunds, "refund_id line_item_id quantity"),
    (risks, "provider risk_rank assessed_at"),
    (edits, "order_shopify_id edited_at"),
    (products, "product_id variant_id name variant_name sku vendor tags"),
)


def _dump_query(table: Any, columns: str) -> Query[Any]:
    query: Query[Any] = Query(select(*(table.c[name] for name in columns.split())), int)
    query.to_row = tuple
    return query


_DUMPS = [_dump_query(table, columns) for table, columns in _DUMPED]


async def dump(tx: Tx) -> list[list[tuple[Any, ...]]]:
    """All that is known of orders, without ids and times of ours."""
    return [sorted(map(tuple, await tx.all(query)), key=repr) for query in _DUMPS]


# ── any order of arrival

_PENDING = order_facts(0, standing=Standing.PENDING)
_PAID = order_facts(1)
_BIGGER = msgspec.structs.replace(SONG_LINE, quantity=4, current_quantity=4)
_EDITED = order_facts(2, lines=(_BIGGER, TIP_LINE))
_WITHOUT_LINES = order_facts(3, lines=None)
_REFUNDED = order_facts(
    4, lines=(_BIGGER, TIP_LINE), refunds=(RefundFacts(1, 12, 1), RefundFacts(2, 12, 1)), standing=Standing.REFUNDED
)
_CANCELLED_AT_ONCE = order_facts(4, lines=(_BIGGER, TIP_LINE), standing=Standing.CANCELLED)
_STEPS: tuple[Step, ...] = (
    partial(record, facts=_PENDING),
    partial(record, facts=_PAID),
    partial(record, facts=_EDITED),
    partial(record, facts=_WITHOUT_LINES),
    partial(record, facts=_REFUNDED),
    partial(record, facts=_CANCELLED_AT_ONCE),
    lambda tx, store: refund(tx, store, RefundFacts(2, 12, 1)),
    lambda tx, store: refund(tx, store, RefundFacts(3, 13, 1)),
    lambda tx, store: assess(tx, store, "shop", RiskLevel.HIGH, 1),
    lambda tx, store: assess(tx, store, "shop", RiskLevel.LOW, 2),
    lambda tx, store: assess(tx, store, "app", RiskLevel.MEDIUM, 1),
    lambda tx, store: edit(tx, store, 5),
    lambda tx, store: edit(tx, store, 2),
)


class Undone(Exception):
    """Carries a state out of a transaction that is rolled back."""

    def __init__(self, state: Any) -> None:
        self.state = state
        super().__init__()


async def outcome(database: Database, store: Store, steps: Sequence[Step]) -> Any:
    """The state that steps come to, undone again."""

    async def work(tx: Tx) -> None:
        for step in steps:
            await step(tx, store)
        raise Undone(await dump(tx))

    with pytest.raises(Undone) as undone:
        await database.write(work)
    return undone.value.state


def steps_and_repeats(steps: Sequence[Step]) -> st.SearchStrategy[list[Step]]:
    once = st.permutations(steps)
    return st.builds(lambda first, again: [*first[:7], *again, *first[7:]], once, st.lists(st.sampled_from(steps)))


async def test_any_order_of_deliveries_and_repeats_ends_the_same(database: Database, mira: Store) -> None:
    expected = await outcome(database, mira, _STEPS)
    assert expected[0][0][4] == "cancelled"
    assert {row[0]: row[7] for row in expected[1]} == {11: 0, 12: 2, 13: 0}

    for arrived in drawn(steps_and_repeats(_STEPS), 60):
        assert await outcome(database, mira, arrived) == expected


async def test_a_deleted_order_stays_away_whatever_comes_when(database: Database, mira: Store) -> None:
    gone = await outcome(database, mira, [*_STEPS, delete])
    assert gone[:5] == [[], [], [], [], []]
    for arrived in drawn(steps_and_repeats(_STEPS), 20):
        came = await outcome(database, mira, [*arrived[:5], delete, *arrived[5:]])
        assert came[:5] == gone[:5]


def drawn(strategy: st.SearchStrategy[list[Step]], count: int) -> list[list[Step]]:
    """So many examples of a strategy, the same in every run: the database is driven outside of hypothesis."""
    found: list[list[Step]] = []

    @examples(max_examples=count, derandomize=True, database=None)
    @given(strategy)
    def draw(example: list[Step]) -> None:
        found.append(example)

    draw()
    return found


async def remaining(database: Database, mira: Store, *steps: Step) -> dict[int, int]:
    return {row[0]: row[7] for row in (await outcome(database, mira, steps))[1]}


async def test_facts_without_lines_end_no_line(database: Database, mira: Store) -> None:
    """A payload whose list of lines is missing may overtake the one that has it."""
    early, late = partial(record, facts=_PAID), partial(record, facts=_WITHOUT_LINES)
    assert await remaining(database, mira, early, late) == {11: 1, 12: 3}
    assert await remaining(database, mira, late, early) == {11: 1, 12: 3}


async def test_a_partial_refund_leaves_the_rest_of_the_line(database: Database, mira: Store) -> None:
    paid = partial(record, facts=_PAID)
    part = partial(record, facts=order_facts(1, refunds=(RefundFacts(1, 12, 2),)))
    assert await remaining(database, mira, paid, part, part) == {11: 1, 12: 1}


async def test_refunds_and_the_quantity_left_do_not_count_twice(database: Database, mira: Store) -> None:
    left = msgspec.structs.replace(SONG_LINE, current_quantity=1)
    facts = order_facts(2, lines=(BOOK_LINE, left), refunds=(RefundFacts(1, 12, 2),))
    assert await remaining(database, mira, partial(record, facts=facts)) == {11: 1, 12: 1}


async def test_a_line_that_an_edit_removed_can_come_back(database: Database, mira: Store) -> None:
    without = partial(record, facts=order_facts(2, lines=(SONG_LINE,)))
    again = partial(record, facts=order_facts(3))
    assert await remaining(database, mira, partial(record, facts=_PAID), without) == {11: 0, 12: 3}
    assert await remaining(database, mira, partial(record, facts=_PAID), without, again) == {11: 1, 12: 3}


async def test_a_reopened_order_is_paid_again(database: Database, mira: Store) -> None:
    cancelled = order_facts(1, standing=Standing.CANCELLED)
    steps = [partial(record, facts=facts) for facts in (_PENDING, cancelled, order_facts(2))]
    assert (await outcome(database, mira, steps))[0][0][4] == "paid"


async def test_at_one_time_the_later_trigger_wins_then_the_further_standing(database: Database, mira: Store) -> None:
    stamp = order_facts().stamp
    later = order_facts(
        stamp=msgspec.structs.replace(stamp, triggered_at=2, standing_rank=0), standing=Standing.PENDING
    )
    sooner = order_facts(stamp=msgspec.structs.replace(stamp, triggered_at=1))
    for steps in ((later, sooner), (sooner, later)):
        state = await outcome(database, mira, [partial(record, facts=facts) for facts in steps])
        assert state[0][0][4] == "pending"


async def test_an_edited_order_needs_a_refresh_until_newer_facts_come(database: Database, mira: Store) -> None:
    await database.write(record, mira, _PAID)
    await database.write(edit, mira, 5)
    assert await database.read(service.list_needing_refresh, mira.id) == [ORDER_ID]
    await database.write(record, mira, order_facts(5))
    assert await database.read(service.list_needing_refresh, mira.id) == []


# ── finding an order


async def test_an_order_is_found_by_every_name_it_has(database: Database, mira: Store) -> None:
    order = await database.write(partial(make_order, name="#1050-A"), mira)
    for text in (order.uid, order.uid.upper(), str(ORDER_ID), "1050", "#1050", "#1050-A", "1050-A"):
        assert (await database.read(service.find, mira.id, text)).id == order.id


async def test_an_order_is_found_by_a_name_with_a_prefix_of_the_shop(database: Database, mira: Store) -> None:
    order = await database.write(partial(make_order, name="EN-1050"), mira)
    assert (await database.read(service.find, mira.id, "EN-1050")).id == order.id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#",
        "1051",
        "#1051",
        "9" * 19,
        "9" * 30,
        "a\0b",
        "\udc80",
        "01a20e90-cc89-72b9-9043-da4e00777707",
        "1050 ",
        "\u0661",
    ],
)
async def test_what_names_no_order_is_unknown(database: Database, mira: Store, text: str) -> None:
    await database.write(make_order, mira)
    with pytest.raises(OrderUnknown):
        await database.read(service.find, mira.id, text)


async def test_two_orders_of_one_number_are_ambiguous(database: Database, mira: Store) -> None:
    await database.write(make_order, mira)
    await database.write(partial(make_order, shopify_id=7, token=None, name="#1050-B"), mira)
    with pytest.raises(OrderAmbiguous):
        await database.read(service.find, mira.id, "1050")
    assert (await database.read(service.find, mira.id, "#1050-B")).shopify_id == 7


async def test_another_stores_order_is_not_found(database: Database, mira: Store) -> None:
    order = await database.write(make_order, mira)
    other = await database.write(make_store, OTHER)
    for text in (order.uid, str(ORDER_ID), "1050"):
        with pytest.raises(OrderUnknown):
            await database.read(service.find, other.id, text)


# ── what a merchant does


async def test_a_block_keeps_its_first_time_and_can_be_lifted(database: Database, mira: Store) -> None:
    order = await database.write(make_order, mira)
    for at in (NOW, NOW + 1):
        await database.write(service.block, mira.id, order.id, at)
    assert (await database.read(service.find_by_id, mira.id, order.id)).blocked_at == NOW
    await database.write(service.unblock, mira.id, order.id)
    assert (await database.read(service.find_by_id, mira.id, order.id)).blocked_at is None


async def test_terms_change_one_by_one(database: Database, mira: Store) -> None:
    order = await database.write(make_order, mira)
    await database.write(service.set_terms, mira.id, order, {"downloads": 3, "addresses": -1})
    changed = await database.read(service.find_by_id, mira.id, order.id)
    await database.write(service.set_terms, mira.id, changed, {"downloads": None})
    changed = await database.read(service.find_by_id, mira.id, order.id)
    assert (changed.own_downloads, changed.own_addresses, changed.own_expires_at) == (None, -1, None)


async def test_revoking_links_raises_the_generation_of_that_order_alone(database: Database, mira: Store) -> None:
    order = await database.write(make_order, mira)
    other = await database.write(partial(make_order, shopify_id=7, token=None), mira)
    assert await database.write(service.revoke_links, mira.id, order.id) == order.link_generation + 1
    assert (await database.read(service.find_by_id, mira.id, other.id)).link_generation == other.link_generation
