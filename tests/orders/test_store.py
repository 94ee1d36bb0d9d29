import random
from typing import Final

from carryout.db import Database, Tx
from carryout.orders import service
from carryout.orders.model import LineFacts, RefundFacts
from tests.cast import NOW
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import order_facts

_LINES: Final = 300


def drawn_line(rng: random.Random, number: int) -> LineFacts:
    current = rng.choice([None, 0, 1, 2, 5])
    return LineFacts(
        line_item_id=number, position=number, name="Line", quantity=rng.randrange(5), current_quantity=current
    )


async def test_what_is_left_of_a_line_is_derived_by_one_rule(database: Database) -> None:
    """Over many lines, the statement says what its rule says: the least of what refunds and the shop leave."""
    rng = random.Random(7)  # noqa: S311 - rows, not secrets
    drawn = [drawn_line(rng, number) for number in range(_LINES)]
    named = tuple(line for line in drawn if rng.random() < 0.8)
    taken = [RefundFacts(refund, rng.randrange(_LINES), rng.randrange(1, 4)) for refund in range(_LINES)]

    async def work(tx: Tx) -> dict[int, int]:
        store = await make_store(tx)
        await service.record(tx, store, order_facts(lines=tuple(drawn)), KEYRING, NOW)
        await service.record_refunds(tx, store.id, order_facts().shopify_id, taken, NOW)
        recorded = await service.record(tx, store, order_facts(1, lines=named), KEYRING, NOW)
        assert recorded is not None
        return {line.line_item_id: line.remaining for line in await service.list_lines(tx, store.id, recorded.id)}

    remaining = await database.write(work)
    assert remaining == {line.line_item_id: expected(line, named, taken) for line in drawn}


def expected(line: LineFacts, named: tuple[LineFacts, ...], taken: list[RefundFacts]) -> int:
    if line not in named:
        return 0
    refunded = sum(refund.quantity for refund in taken if refund.line_item_id == line.line_item_id)
    current = line.quantity if line.current_quantity is None else line.current_quantity
    return max(0, min(line.quantity - refunded, current))
