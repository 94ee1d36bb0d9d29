import random
from typing import Any, Final

from sqlalchemy import bindparam, insert

from carryout.catalog import service as catalog
from carryout.db import Database, Statement, Tx
from carryout.db.tables import grants
from carryout.entitlements import rules, service, store
from carryout.identifiers import new_uid
from carryout.orders import service as orders
from carryout.orders.model import LineFacts
from tests.cast import NOW
from tests.catalog.makers import make_file
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import order_facts

_GRANTS_EACH: Final = 40
_OWN_OF_ORDERS: Final = (None, -1, 0, 1, 2, 5, 6)
_COLUMNS: Final = (
    "uid store_id order_id line_id asset_id used base_downloads is_per_unit own_downloads revoked_at created_at"
)
_INSERT: Final = Statement(insert(grants).values({name: bindparam(name) for name in _COLUMNS.split()}))


async def make_order(tx: Tx, rng: random.Random, owner: Any, number: int, own: int | None) -> int:
    """An order with its own limit and a grant on each of its lines."""
    lines = tuple(
        LineFacts(line_item_id=line, position=line, name="Line", quantity=rng.randrange(4))
        for line in range(_GRANTS_EACH)
    )
    facts = order_facts(shopify_id=number, token=None, lines=lines)
    recorded = await orders.record(tx, owner, facts, KEYRING, NOW)
    assert recorded is not None
    order = await orders.find_by_id(tx, owner.id, recorded.id)
    await orders.set_terms(tx, owner.id, order, {"downloads": own})
    asset = await make_file(tx, owner.id, f"{number}.epub")
    line_ids = [line.id for line in await orders.list_lines(tx, owner.id, order.id)]
    await tx.many(_INSERT, [drawn(rng, owner.id, order.id, asset.id, line) for line in (None, *line_ids)])
    return order.id


def drawn(rng: random.Random, store_id: int, order_id: int, asset_id: int, line_id: int | None) -> dict[str, Any]:
    return {
        "uid": new_uid(),
        "store_id": store_id,
        "order_id": order_id,
        "line_id": line_id,
        "asset_id": asset_id,
        "used": rng.randrange(7),
        "base_downloads": rng.choice([None, 0, 1, 2, 3, 1_000_000_000]),
        "is_per_unit": rng.random() < 0.5,
        "own_downloads": rng.choice([None, None, -1, 0, 1, 5]),
        "revoked_at": None,
        "created_at": NOW,
    }


async def test_the_statement_that_spends_says_what_the_rule_says(database: Database) -> None:
    """Over a few hundred generated grants, a use is spent exactly where `used` is under the limit in force."""
    rng = random.Random(11)  # noqa: S311 - rows, not secrets

    async def work(tx: Tx) -> list[tuple[bool, bool]]:
        owner = await make_store(tx)
        judged = []
        for number, own in enumerate(_OWN_OF_ORDERS, start=1):
            view = await service.view_by_id(tx, owner.id, await make_order(tx, rng, owner, number, own))
            for grant in view.grants:
                limit = rules.effective(service.order_facts(view.order), service.grant_facts(grant)).downloads
                used = await store.spend_use(tx, owner.id, grant.id)
                assert used in (None, grant.used + 1)
                judged.append((limit is None or grant.used < limit, used is not None))
        return judged

    judged = await database.write(work)
    assert len(judged) == len(_OWN_OF_ORDERS) * (_GRANTS_EACH + 1)
    assert {allowed for allowed, _ in judged} == {True, False}
    assert [spent for _, spent in judged] == [allowed for allowed, _ in judged]


async def test_a_revoked_grant_and_another_stores_spend_nothing(database: Database) -> None:
    rng = random.Random(11)  # noqa: S311 - rows, not secrets

    async def work(tx: Tx) -> None:
        owner = await make_store(tx)
        order_id = await make_order(tx, rng, owner, 1, -1)
        view = await service.view_by_id(tx, owner.id, order_id)
        ours = view.grants[0]
        assert await store.spend_use(tx, owner.id + 1, ours.id) is None
        await store.revoke_of_order(tx, owner.id, order_id, await asset_id_of(tx, owner.id, ours.asset_uid), NOW)
        assert await store.spend_use(tx, owner.id, ours.id) is None

    async def asset_id_of(tx: Tx, store_id: int, uid: str) -> int:
        return (await catalog.find_asset(tx, store_id, uid)).id

    await database.write(work)
