"""Brings a database to this version's schema (Alembic, one chain for both databases)."""

import asyncio
import logging
import sqlite3
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from carryout.db.database import is_embedded, sqlite_path
from carryout.db.sqlite_connection import BUSY_SECONDS
from carryout.errors import CarryoutError, Kind

_LOCK = 0x636172727974  # any number that only we use


class SchemaNewer(CarryoutError):
    """The database has schema {found}, which this version of Carryout does not know. Install the newer version."""

    kind = Kind.MISCONFIGURED


class SchemaOlder(CarryoutError):
    """The database has schema {found}, this version needs {wanted}. Run `carryout migrate` first."""

    kind = Kind.MISCONFIGURED


class DatabaseUnreachable(CarryoutError):
    """CARRYOUT_DATABASE_URL: the database cannot be opened ({reason})."""

    kind = Kind.MISCONFIGURED


def newest() -> int:
    """The schema that this version works on."""
    return int(_script().get_current_head() or 0)


def upgrade(url: str) -> tuple[int, int]:
    """Bring the database to the newest schema; answers the schema before and after (0: empty).

    Errors: `SchemaNewer`, `DatabaseUnreachable`. Two at once wait for each other; a step that died is undone whole.
    """
    before = current(url)
    if before > newest():
        raise SchemaNewer(found=before)
    if before < newest():
        _run(url)
    return before, newest()


def check(url: str) -> None:
    """Raise unless the database is at this version's schema."""
    found = current(url)
    if found > newest():
        raise SchemaNewer(found=found)
    if found < newest():
        raise SchemaOlder(found=found, wanted=newest())


def current(url: str) -> int:
    """The database's schema; 0 when it has none yet."""
    try:
        if is_embedded(url):
            return _current_embedded(url)
        return asyncio.run(_current_server(url))
    except (OSError, sqlite3.Error, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(reason=_reason(error)) from error


def _reason(error: BaseException) -> str:
    words = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    return words or type(error).__name__


def _current_embedded(url: str) -> int:
    if not sqlite_path(url).exists():
        return 0
    engine = _embedded_engine(url)
    try:
        with engine.connect() as connection:
            return _revision(connection)
    finally:
        engine.dispose()


async def _current_server(url: str) -> int:
    engine = _server_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_revision)
    finally:
        await engine.dispose()


def _embedded_engine(url: str) -> Engine:
    # The path is not a part of an address here: it may hold any character.
    path = URL.create("sqlite", database=str(sqlite_path(url)))
    return create_engine(path, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})


def _server_engine(url: str) -> AsyncEngine:
    # The driver reads the address itself, as it does for the pool: SQLAlchemy knows fewer options (`sslmode`).
    async def connect() -> Any:
        return await asyncpg.connect(url, timeout=BUSY_SECONDS)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect)


def _revision(connection: Connection) -> int:
    return int(MigrationContext.configure(connection).get_current_revision() or 0)


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _run(url: str) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        if is_embedded(url):
            _run_embedded(url)
        else:
            asyncio.run(_run_server(url))
    except CommandError as error:
        raise SchemaNewer(found="?") from error
    except (OSError, sqlite3.Error, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DatabaseUnreachable(reason=_reason(error)) from error


def _run_embedded(url: str) -> None:
    path = sqlite_path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = _embedded_engine(url)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade_on(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone():
                connection.exec_driver_sql("ROLLBACK")
                raise DatabaseUnreachable(reason="a migration would break a reference; nothing was changed")
            connection.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()


async def _run_server(url: str) -> None:
    engine = _server_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(_upgrade_on)
    finally:
        await engine.dispose()


def _upgrade_on(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
