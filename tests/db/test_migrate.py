import asyncio
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from carryout.db.migrate import DatabaseUnreachable, SchemaNewer, SchemaOlder, check, current, newest, upgrade
from carryout.db.tables import metadata

CHILD = "import sys; from carryout.db.migrate import upgrade; print(upgrade(sys.argv[1]))"


def _inspect(url: str, look: Any) -> Any:
    """`look(connection)` over SQLAlchemy, on either database."""
    if url.startswith("sqlite"):
        engine = create_engine(url)
        with engine.begin() as connection:
            found = look(connection)
        engine.dispose()
        return found
    return asyncio.run(_inspect_server(url, look))


async def _inspect_server(url: str, look: Any) -> Any:
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        found = await connection.run_sync(look)
    await engine.dispose()
    return found


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


def test_all_migrations_from_nothing_are_the_tables(empty_url: str) -> None:
    assert current(empty_url) == 0
    assert upgrade(empty_url) == (0, newest())
    assert upgrade(empty_url) == (newest(), newest())
    check(empty_url)

    assert _inspect(empty_url, _differences) == []


def test_foreign_keys_lead_where_they_should_on_sqlite(migrated_file: Path) -> None:
    with sqlite3.connect(migrated_file) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def _set_revision(connection: Connection) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))


def test_a_newer_schema_is_refused(database_url: str) -> None:
    _inspect(database_url, _set_revision)

    for refused in (upgrade, check):
        with pytest.raises(SchemaNewer, match="9999"):
            refused(database_url)


def test_an_older_schema_is_refused(empty_url: str) -> None:
    with pytest.raises(SchemaOlder, match="has schema 0"):
        check(empty_url)


def _child(url: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_one_that_is_killed_in_the_middle_is_done_again(empty_url: str) -> None:
    statements = "CREATE TABLE grants"  # somewhere in the middle
    code = (
        "import os, signal, sys; from sqlalchemy import event, Engine; from carryout.db.migrate import upgrade\n"
        "@event.listens_for(Engine, 'before_cursor_execute')\n"
        "def die(conn, cursor, statement, *rest):\n"
        f"    if {statements!r} in statement: os.kill(os.getpid(), signal.SIGKILL)\n"
        "upgrade(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, empty_url], check=False, capture_output=True)

    assert done.returncode == -signal.SIGKILL
    assert current(empty_url) == 0
    assert upgrade(empty_url) == (0, newest())
    assert _inspect(empty_url, _differences) == []


def test_two_at_once_wait_for_each_other(empty_url: str) -> None:
    children = [_child(empty_url) for _ in range(3)]
    outcomes = [(child.wait(), *child.communicate()) for child in children]

    assert [code for code, _, _ in outcomes] == [0, 0, 0], outcomes
    assert current(empty_url) == newest()


@pytest.mark.parametrize("name", ["with space", "100%", "what?x=1", "a#b", "übel"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / name / 'carryout.db'}"

    assert upgrade(url) == (0, newest())
    assert (tmp_path / name / "carryout.db").exists()
    check(url)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_an_address_may_have_the_drivers_own_options(empty_url: str) -> None:
    assert upgrade(f"{empty_url}?sslmode=prefer&application_name=us") == (0, newest())


def test_a_server_that_is_not_there_is_a_line() -> None:
    with pytest.raises(DatabaseUnreachable, match="CARRYOUT_DATABASE_URL: the database cannot be opened"):
        check("postgresql://nobody@127.0.0.1:1/nothing")


def test_a_file_that_is_no_database_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "carryout.db"
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(DatabaseUnreachable, match="not a database"):
        upgrade(f"sqlite:///{path}")


def test_a_folder_that_cannot_be_written_is_a_line() -> None:
    with pytest.raises(DatabaseUnreachable):
        upgrade("sqlite:////proc/carryout.db")  # where root may write nothing either


def test_the_secret_of_an_address_is_not_in_the_error() -> None:
    with ThreadPoolExecutor(1) as pool, pytest.raises(DatabaseUnreachable) as caught:
        pool.submit(check, "postgresql://us:a-password-of-ours@127.0.0.1:1/nothing").result()

    assert "a-password-of-ours" not in caught.value.message
