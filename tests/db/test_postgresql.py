import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import bindparam, select, update

from carryout.db import Query, Statement, Tx
from carryout.db.postgresql import PostgresqlDatabase
from carryout.db.tables import stores
from carryout.errors import DatabaseBusy, DatabaseUnavailable
from tests.db.makers import count_names, delete_name, insert_name, list_names

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

_LOCK = Query(select(stores.c.id).where(stores.c.name == bindparam("wanted")).with_for_update(), int)
_RENAME = Statement(update(stores).where(stores.c.name == bindparam("wanted")).values(plan="other"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresqlDatabase]:
    database = PostgresqlDatabase(database_url)
    yield database
    await database.close()


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[PostgresqlDatabase]:
    """Another node."""
    database = PostgresqlDatabase(database_url)
    yield database
    await database.close()


async def _end_connections(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await connection.close()


async def test_a_deadlock_is_run_again(database: PostgresqlDatabase) -> None:
    await database.write(insert_name, "a")
    await database.write(insert_name, "b")
    both = asyncio.Barrier(2)
    runs = []

    async def lock_two(tx: Tx, first: str, second: str) -> None:
        runs.append(first)
        await tx.one(_LOCK, wanted=first)
        if len(runs) <= 2:
            await both.wait()
        await tx.run(_RENAME, wanted=second)

    await asyncio.gather(database.write(lock_two, "a", "b"), database.write(lock_two, "b", "a"))

    assert len(runs) == 3


async def test_a_conflict_that_never_ends_is_busy(database: PostgresqlDatabase) -> None:
    runs = []

    async def conflict(_tx: Tx) -> None:
        runs.append(1)
        raise asyncpg.SerializationError

    with pytest.raises(DatabaseBusy):
        await database.write(conflict)
    assert len(runs) > 3


async def test_a_lost_connection_is_unavailable_and_the_next_call_works(
    database: PostgresqlDatabase, database_url: str
) -> None:
    runs = []

    async def lose(tx: Tx) -> None:
        runs.append(1)
        await insert_name(tx, "lost")
        await _end_connections(database_url)
        await count_names(tx)

    with pytest.raises(DatabaseUnavailable):
        await database.write(lose)

    assert len(runs) == 1
    assert await database.read(list_names) == []
    assert await database.write(insert_name, "after") == "after"


async def test_a_server_that_is_not_there_is_unavailable(database_url: str) -> None:
    del database_url
    database = PostgresqlDatabase("postgresql://nobody@127.0.0.1:1/nothing")

    with pytest.raises(DatabaseUnavailable):
        await database.read(count_names)
    assert not await database.is_answering()
    await database.close()


async def test_a_database_that_is_not_there_is_unavailable(database_url: str) -> None:
    database = PostgresqlDatabase(f"{database_url}_that_never_was")

    with pytest.raises(DatabaseUnavailable):
        await database.write(insert_name, "a")


async def test_too_many_connections_are_busy_and_not_a_full_disk(database: PostgresqlDatabase) -> None:
    async def refuse(_tx: Tx) -> None:
        raise asyncpg.TooManyConnectionsError

    with pytest.raises(DatabaseBusy):
        await database.write(refuse)


class Link:
    """A line to the server that can be cut the moment a COMMIT went through it, before the answer comes back."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self._path = f"{parts.username}@127.0.0.1:{{}}{parts.path}"
        self.cuts = False
        self.committed = asyncio.Event()

    async def open(self) -> str:
        """Listen; the address through this line."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return "postgresql://" + self._path.format(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more."""
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        back = asyncio.create_task(self._copy(there_reader, writer, lambda _data: False))
        back.add_done_callback(lambda _: None if self.cuts else writer.close())
        await self._copy(reader, there_writer, self._is_commit)
        back.cancel()
        await asyncio.wait([back])
        if self.cuts:
            await there_reader.read(1)  # the server's answer: it is committed
            self.committed.set()
        there_writer.close()
        writer.transport.abort()

    def _is_commit(self, data: bytes) -> bool:
        return self.cuts and b"COMMIT\0" in data

    @staticmethod
    async def _copy(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_last: Callable[[bytes], Any]
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                if is_last(data):
                    return


async def test_a_commit_whose_answer_was_lost_is_not_run_again(database: PostgresqlDatabase, database_url: str) -> None:
    link = Link(database_url)
    through = PostgresqlDatabase(await link.open())
    await through.write(insert_name, "before")
    runs = []

    async def insert_counted(tx: Tx) -> None:
        runs.append(1)
        await insert_name(tx, "committed")

    link.cuts = True
    with pytest.raises(DatabaseUnavailable):
        await through.write(insert_counted)
    await link.committed.wait()
    link.cuts = False

    assert len(runs) == 1
    assert await database.read(list_names) == ["before", "committed"]
    assert await through.read(count_names) == 2
    await through.close()
    await link.close()


async def test_a_commit_wakes_who_listens_elsewhere(database: PostgresqlDatabase, other: PostgresqlDatabase) -> None:
    woken = asyncio.Event()
    other.listen("bell", woken.set)
    hearing = asyncio.create_task(other.hear())

    async def ring(tx: Tx) -> None:
        tx.wake("bell")

    while not woken.is_set():  # until the other one hears
        await database.write(ring)
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), 0.05)
    hearing.cancel()


async def test_who_listens_is_told_when_the_line_is_lost(other: PostgresqlDatabase, database_url: str) -> None:
    hearing = asyncio.create_task(other.hear())
    while not hearing.done():
        await _end_connections(database_url)
        await asyncio.wait([hearing], timeout=0.05)

    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await hearing


async def test_a_name_is_locked_by_one_and_shared_beside(
    database: PostgresqlDatabase, other: PostgresqlDatabase
) -> None:
    order: list[str] = []
    is_held, may_end = asyncio.Event(), asyncio.Event()

    async def hold(tx: Tx) -> None:
        await tx.lock("order 1", beside="store 1")
        is_held.set()
        await may_end.wait()
        order.append("first")

    async def follow(tx: Tx, name: str, word: str) -> None:
        await tx.lock(name, beside="store 1")
        order.append(word)

    holding = asyncio.create_task(database.write(hold))
    await is_held.wait()
    waiting = asyncio.create_task(other.write(follow, "order 1", "second"))
    await other.write(follow, "order 2", "beside")
    may_end.set()
    await asyncio.gather(holding, waiting)

    assert order == ["beside", "first", "second"]


async def test_what_was_deleted_is_gone_from_the_table_after_a_scrub(
    database: PostgresqlDatabase, database_url: str
) -> None:
    await database.write(insert_name, "bea@example.com")
    await database.write(delete_name, "bea@example.com")

    await database.scrub(["stores", "inbox"])

    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT pg_relation_size('stores')") == 0
    await connection.close()


async def test_a_cancelled_call_gives_its_connection_back_clean(database: PostgresqlDatabase) -> None:
    async def wait(tx: Tx) -> None:
        await insert_name(tx, "never")
        await asyncio.get_running_loop().create_future()

    calls = [asyncio.create_task(database.write(wait)) for _ in range(20)]
    await asyncio.wait(calls, timeout=0.2)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert await asyncio.gather(*(database.read(count_names) for _ in range(20))) == [0] * 20
