"""What must stay quick stays quick on a database that was never analysed: no statement of a hot path walks a store."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import bindparam, select

from carryout.db import Statement
from carryout.db.tables import lines
from carryout.entitlements import store as entitlements
from carryout.orders import store as orders

HOT: dict[str, Statement] = {
    "token": entitlements.BY_TOKEN,
    "token of a shop": entitlements.BY_TOKEN_OF_SHOP,
    "lines": entitlements.LINES,
    "grants": entitlements.GRANTS,
    "grant": entitlements.GRANT,
    "order of a grant": entitlements.HOLD_OF_GRANT,
    "spend": entitlements.SPEND,
    "client": entitlements.CLIENT,
    "address": entitlements.FIND_ADDRESS,
    "missing of lines": entitlements.MISSING_OF_LINES,
    "missing of the order": entitlements.MISSING_OF_ORDER,
    "reached": entitlements.REACHED,
    "order": orders.BY_ID,
    "order by Shopify's id": orders.BY_SHOPIFY_ID,
    "lines of an order": orders.LINES,
    "remaining": orders.COUNT_REMAINING,
    "risk": orders.RANK_RISK,
    "tombstone": orders.FIND_TOMBSTONE,
}
# A store's whole share of a table, by an index that begins with the store and is used no further.
WALKS = ("(store_id=?)", "SCAN lines", "SCAN grants", "SCAN orders", "SCAN products", "SCAN order_addresses")


def plan(file: Path, statement: Statement) -> list[str]:
    """How SQLite would run the statement."""
    text = statement.sqlite.text
    with sqlite3.connect(file) as connection:
        rows = connection.execute("EXPLAIN QUERY PLAN " + text, [1] * text.count("?")).fetchall()
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", HOT)
def test_a_hot_statement_walks_no_table_of_a_store(migrated_file: Path, name: str) -> None:
    steps = plan(migrated_file, HOT[name])
    assert steps
    assert not [step for step in steps if any(walk in step for walk in WALKS)], steps


def test_a_walk_would_be_seen(migrated_file: Path) -> None:
    steps = plan(migrated_file, Statement(select(lines.c.id).where(lines.c.store_id == bindparam("store_id"))))
    assert any(walk in step for step in steps for walk in WALKS), steps
