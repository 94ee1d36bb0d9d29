"""An intruder who can write to the database, but has no key, changes something of a record."""

from typing import Any, Final

import pytest
from sqlalchemy import text

from carryout.db import Database, Statement, Tx
from carryout.db.tables import event_chains, events
from carryout.evidence import service
from carryout.identifiers import new_uid
from carryout.merchants.model import Store
from tests.cast import NOW, OTHER
from tests.evidence.makers import (
    broken_id,
    chain,
    change_chain,
    change_event,
    delete_event,
    list_ids,
    make_chained,
    make_event,
    record,
    verify,
)
from tests.merchants.makers import KEYRING, make_store

PERSONAL: Final = ("address_digest", "user_agent", "salt")


class Undo(Exception):
    """Carries what was found out of a transaction that is not to stay."""

    def __init__(self, is_found: bool) -> None:  # noqa: FBT001 - the only thing it carries
        self.is_found = is_found
        super().__init__()


@pytest.fixture
async def mira(database: Database) -> Store:
    return await database.write(make_store)


def values_for(column: str, event_id: int, other_id: int) -> list[Any]:
    """What may be put into a column instead."""
    if column == "id":
        return [event_id + 1000, -1]
    if column == "store_id":
        return [other_id]
    kind = events.c[column].type.python_type
    samples: dict[type, list[Any]] = {int: [0, NOW + 5], str: ["", new_uid()], bytes: [b"", bytes(4), bytes(32)]}
    values = samples[kind]
    return [*values, None] if events.c[column].nullable else values


@pytest.mark.parametrize("position", [0, 2, 4])
async def test_any_change_of_any_column_of_an_event_is_found(database: Database, mira: Store, position: int) -> None:
    other = await database.write(make_store, OTHER)
    await record(database, other)
    await chain(database, other)
    await record(database, mira, 5)
    await chain(database, mira)
    event_id = (await database.read(service.list_events, mira.id, 0, 10))[0][position].id

    async def try_it(tx: Tx, column: str, value: Any) -> None:
        await change_event(tx, event_id, {column: value})
        verified = [await service.verify(tx, store.id, KEYRING) for store in (mira, other)]
        raise Undo(any(found.broken for found in verified))

    missed = []
    for column in events.c.keys():  # noqa: SIM118 - a collection of columns, not a mapping
        for value in values_for(column, event_id, other.id):
            with pytest.raises(Undo) as undo:
                await database.write(try_it, column, value)
            if not undo.value.is_found:
                missed.append((column, value))
    assert missed == []
    assert await broken_id(database, [mira, other]) is None


async def test_any_change_of_any_column_of_the_chain_is_found(database: Database, mira: Store) -> None:
    await make_chained(database, mira, 3)
    for column in set(event_chains.c.keys()) - {"store_id"}:
        value = 9999 if event_chains.c[column].type.python_type is int else bytes(31)

        async def try_it(tx: Tx, column: str = column, value: Any = value) -> None:
            await change_chain(tx, mira.id, {column: value})
            found = await service.verify(tx, mira.id, KEYRING)
            # Nor does going on cover it up.
            with pytest.raises(service.RecordChanged):
                await service.chain(tx, mira.id, KEYRING, NOW)
            raise Undo(found.broken is not None)

        with pytest.raises(Undo) as undo:
            await database.write(try_it)
        assert undo.value.is_found, column


@pytest.mark.parametrize("position", [0, 1, 3, 4])
async def test_a_deleted_event_is_found(database: Database, mira: Store, position: int) -> None:
    ids = await make_chained(database, mira, 5)
    await database.write(delete_event, ids[position])
    # The first that is broken is the one after it; of a cut tail, the newest, which is missing.
    assert await broken_id(database, [mira]) == ids[min(position + 1, 4)]


async def test_a_cut_head_is_found_after_pruning_too(database: Database, mira: Store) -> None:
    await record(database, mira, 3)
    await database.write(service.record, mira.id, [make_event()] * 3, NOW + 2)
    await chain(database, mira)
    await database.write(service.prune, mira.id, 0, KEYRING, NOW + 1)
    ids = await database.read(list_ids)
    assert len(ids) == 3
    assert await broken_id(database, [mira]) is None
    await database.write(delete_event, ids[0])
    assert await broken_id(database, [mira]) == ids[1]


async def test_a_cut_tail_is_found_after_the_record_went_on(database: Database, mira: Store) -> None:
    ids = await make_chained(database, mira, 3)
    await database.write(delete_event, ids[2])
    after = await make_chained(database, mira, 2)
    assert await broken_id(database, [mira]) == after[-2]


async def test_swapped_events_are_found(database: Database, mira: Store) -> None:
    ids = await make_chained(database, mira, 4)

    async def swap(tx: Tx) -> None:
        await change_event(tx, ids[1], {"id": -1})
        await change_event(tx, ids[2], {"id": ids[1]})
        await change_event(tx, -1, {"id": ids[2]})

    await database.write(swap)
    assert await broken_id(database, [mira]) == ids[1]


async def test_an_event_put_back_unchained_is_found_and_never_chained(database: Database, mira: Store) -> None:
    ids = await make_chained(database, mira, 3)
    await database.write(change_event, ids[1], {"mac": None, "key_id": None, "chained_at": None})
    await record(database, mira)
    await chain(database, mira)
    found = (await verify(database, mira)).broken
    assert found is not None
    assert (found.event_id, found.reason) == (ids[1], "was put in afterwards")


async def test_an_event_put_before_the_first_is_found(database: Database, mira: Store) -> None:
    await make_chained(database, mira, 2)
    await record(database, mira)
    newest = (await database.read(list_ids))[-1]
    await database.write(change_event, newest, {"id": -5})
    assert await broken_id(database, [mira]) == -5


async def test_a_record_without_its_chain_is_found(database: Database, mira: Store) -> None:
    ids = await make_chained(database, mira, 2)
    other = await database.write(make_store, OTHER)
    await database.write(change_chain, mira.id, {"store_id": other.id})
    assert await broken_id(database, [mira]) == ids[0]
    assert await broken_id(database, [other]) == 0


@pytest.mark.parametrize("kept", PERSONAL)
async def test_half_a_redaction_is_a_change(database: Database, mira: Store, kept: str) -> None:
    ids = await make_chained(database, mira, 2)
    await database.write(change_event, ids[0], {name: None for name in PERSONAL if name != kept})
    assert await broken_id(database, [mira]) == ids[0]


@pytest.mark.parametrize("column", ["mac", "key_id", "person_digest", "salt", "created_at", "detail"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_value_of_another_type_is_found(database: Database, mira: Store, column: str) -> None:
    """SQLite keeps a text where it is put."""
    ids = await make_chained(database, mira, 2)
    as_from_outside = Statement(text(f"UPDATE events SET {column} = 'text' WHERE id = {ids[0]}"))  # noqa: S608 - our own names

    async def put(tx: Tx) -> None:
        await tx.run(as_from_outside)

    await database.write(put)
    assert await broken_id(database, [mira]) == ids[0]
