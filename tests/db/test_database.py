"""What both databases promise."""

import asyncio
from pathlib import Path

import pytest

from carryout.db import Database, Tx, is_embedded, open_database, sqlite_path
from carryout.errors import CarryoutError
from tests.db.makers import count_names, insert_name, list_names


class Refused(CarryoutError):
    """No."""


async def _insert_and_raise(tx: Tx, name: str) -> str:
    await insert_name(tx, name)
    raise Refused


async def test_what_returns_is_committed(database: Database) -> None:
    assert await database.write(insert_name, "a") == "a"
    assert await database.read(list_names) == ["a"]
    assert await database.sweep(list_names) == ["a"]


async def test_what_raises_is_rolled_back(database: Database) -> None:
    with pytest.raises(Refused):
        await database.write(_insert_and_raise, "a")

    assert await database.read(list_names) == []


async def test_a_failure_among_many_leaves_the_others(database: Database) -> None:
    names = [f"name {number}" for number in range(40)]
    writes = [database.write(insert_name, name) for name in names]
    writes[20:20] = [database.write(_insert_and_raise, "raised"), database.write(insert_name, "name 3")]

    outcomes = await asyncio.gather(*writes, return_exceptions=True)

    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 2
    assert sorted(await database.read(list_names)) == sorted(names)


async def test_a_statement_that_failed_may_not_be_passed_over_on_one_database_only(database: Database) -> None:
    async def pass_over(tx: Tx) -> str:
        await insert_name(tx, "a")
        try:
            await insert_name(tx, "a")
        except Exception as error:  # noqa: BLE001  # what no room may do
            return type(error).__name__
        return ""

    if database.dialect == "sqlite":
        await database.write(pass_over)
        assert await database.read(count_names) == 1
    else:  # PostgreSQL undoes it all; that must not look like a commit
        with pytest.raises(RuntimeError, match="went on after a failed statement"):
            await database.write(pass_over)
        assert await database.read(count_names) == 0


async def test_a_value_that_does_not_fit_is_no_failure_of_the_database(database: Database) -> None:
    async def insert_number(tx: Tx) -> None:
        await insert_name(tx, 7 if database.dialect == "postgresql" else object())  # type: ignore[arg-type]  # the mistake

    with pytest.raises(Exception, match=r"7|bind|expected") as caught:
        await database.write(insert_number)

    assert not isinstance(caught.value, CarryoutError)


async def test_a_cancelled_caller_leaves_the_database_working(database: Database) -> None:
    callers = [asyncio.create_task(database.write(insert_name, f"name {number}")) for number in range(20)]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)

    await database.write(insert_name, "after")
    assert (await database.read(list_names))[-1] == "after"
    await asyncio.gather(*(database.write(insert_name, f"more {number}") for number in range(20)))


async def test_a_read_writes_nothing(database: Database) -> None:
    with pytest.raises(Exception, match=r"read-?only"):
        await database.read(insert_name, "a")
    with pytest.raises(Exception, match=r"read-?only"):
        await database.sweep(insert_name, "a")

    assert await database.read(count_names) == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # on SQLite a read runs in one go
async def test_a_read_sees_one_moment(database: Database, database_url: str) -> None:
    other = open_database(database_url)

    async def count_twice(tx: Tx) -> tuple[int | None, int | None]:
        before = await count_names(tx)
        await other.write(insert_name, "a")
        return before, await count_names(tx)

    try:
        assert await database.read(count_twice) == (0, 0)
    finally:
        await other.close()


async def test_a_look_up_sees_what_is_committed_and_writes_nothing(database: Database) -> None:
    await database.write(insert_name, "a")

    assert await database.look_up(list_names) == ["a"]
    assert await database.read(list_names) == ["a"]


async def test_a_commit_wakes_who_listens_and_a_rollback_does_not(database: Database) -> None:
    woken: asyncio.Queue[str] = asyncio.Queue()
    database.listen("bell", lambda: woken.put_nowait("bell"))
    database.listen("horn", lambda: woken.put_nowait("horn"))

    async def ring(tx: Tx, channel: str, *, fails: bool = False) -> None:
        tx.wake(channel)
        if fails:
            raise Refused

    async def ring_and_fail(tx: Tx) -> None:
        await ring(tx, "bell", fails=True)

    with pytest.raises(Refused):
        await database.write(ring_and_fail)
    await database.write(ring, "horn")

    assert await asyncio.wait_for(woken.get(), 5) == "horn"
    assert woken.empty()


async def test_time_in_the_database_is_counted(database: Database) -> None:
    before = database.seconds
    await database.write(insert_name, "a")
    await database.read(list_names)

    assert database.seconds > before


async def test_it_says_whether_it_answers(database: Database) -> None:
    assert await database.is_answering()


def test_an_embedded_database_is_told_by_its_address() -> None:
    assert is_embedded("sqlite:////srv/carryout.db")
    assert sqlite_path("sqlite:////srv/carryout.db") == Path("/srv/carryout.db")
    assert not is_embedded("postgresql://host/name")
