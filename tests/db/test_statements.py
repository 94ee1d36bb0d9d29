from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, insert, literal, null, or_, select, update

from carryout.db import Database, Query, Statement, Tx, among, json_rows, json_text
from carryout.db.rows import ColumnsDiffer
from carryout.db.tables import assets, inbox, stores
from tests.db.makers import INSERT, count_names, insert_name

_s = stores.c


class Named(msgspec.Struct, frozen=True):
    """A store's row, in part."""

    id: int
    name: str


@pytest.fixture
async def names(database: Database) -> list[Named]:
    for name in ("a", "b", "it's"):
        await database.write(insert_name, name)
    return await database.read(_all, Query(select(_s.id, _s.name).order_by(_s.id), Named))


async def _all(tx: Tx, query: Query[Any], params: dict[str, Any] | None = None) -> Any:
    return await tx.all(query, **params or {})


async def test_a_list_of_integers_is_one_parameter(database: Database, names: list[Named]) -> None:
    query = Query(select(_s.name).where(among(_s.id, "ids")).order_by(_s.id), str)

    assert await database.read(_all, query, {"ids": [names[0].id, names[2].id, 2**63 - 1, -1]}) == ["a", "it's"]
    assert await database.read(_all, query, {"ids": []}) == []
    assert await database.read(_all, query, {"ids": list(range(100_000, 150_000))}) == []


async def test_a_list_of_texts_is_one_parameter(database: Database, names: list[Named]) -> None:
    del names
    query = Query(select(_s.name).where(among(_s.name, "wanted")).order_by(_s.id), str)

    assert await database.read(_all, query, {"wanted": ["it's", 'b", "a', "a"]}) == ["a", "it's"]


def test_a_list_for_a_column_of_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="integers or texts"):
        among(inbox.c.body, "bodies")


async def test_literals_are_bound_also_when_they_are_null(database: Database, names: list[Named]) -> None:
    statement = Statement(update(stores).where(_s.name == "a").values(previous_until=None, uninstalled_at=7))
    both = Query(select(_s.name).where(or_(_s.uninstalled_at == 7, _s.name == literal("it's"))).order_by(_s.id), str)

    async def change(tx: Tx) -> int:
        return await tx.run(statement)

    assert await database.write(change) == 1
    assert await database.read(_all, both) == ["a", "it's"]
    assert await database.read(_all, Query(select(null().label("x"), _s.name).order_by(_s.id), _Pair)) == [
        _Pair(None, named.name) for named in names
    ]


class _Pair(msgspec.Struct, frozen=True):
    x: None
    name: str


async def test_one_name_may_stand_for_several_parameters(database: Database, names: list[Named]) -> None:
    query = Query(select(_s.name).where(or_(_s.name == bindparam("x"), _s.plan == bindparam("x"))), str)

    assert await database.read(_all, query, {"x": "b"}) == ["b"]
    assert len(await database.read(_all, query, {"x": "premium"})) == len(names)


async def test_a_missing_parameter_is_named(database: Database) -> None:
    query = Query(select(_s.name).where(_s.name == bindparam("wanted")), str)

    with pytest.raises(KeyError, match="wanted"):
        await database.read(_all, query)


def test_columns_that_differ_from_the_struct_are_refused_at_once() -> None:
    with pytest.raises(ColumnsDiffer):
        Query(select(_s.name, _s.id), Named)
    with pytest.raises(ColumnsDiffer):
        Query(insert(assets).returning(assets.c.id), Named)


async def test_many_rows_go_in_one_call(database: Database) -> None:
    async def insert_many(tx: Tx, count: int) -> None:
        await tx.many(INSERT, [{"name": f"name {number}"} for number in range(count)])

    await database.write(insert_many, 0)
    await database.write(insert_many, 50)

    assert await database.read(count_names) == 50


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A store's row inside another row."""

    id: int
    name: str
    is_first: bool
    settings: dict[str, int]


class Owner(msgspec.Struct, frozen=True):
    """A store with all stores, and with none."""

    id: int
    kept: list[Kept]
    none: list[Kept]


async def test_rows_of_a_row_come_as_json_with_texts_booleans_and_json_in_them(
    database: Database, names: list[Named]
) -> None:
    others = stores.alias()
    rows = select(others.c.id, others.c.name, others.c.id == names[0].id, json_text(others.c.settings))
    query = Query(
        select(_s.id, json_rows(rows).label("kept"), json_rows(rows.where(others.c.id < 0)).label("none")).where(
            _s.id == names[0].id
        ),
        Owner,
    )

    (found,) = await database.read(_all, query)

    assert found.none == []
    assert sorted(found.kept, key=lambda kept: kept.id) == [
        Kept(name.id, name.name, name == names[0], {}) for name in names
    ]
