"""What a command works with: settings, keys, database and storage, opened for it and closed behind it."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from carryout.cli import logs
from carryout.db import Database, is_embedded, open_database
from carryout.db.migrate import check, current, upgrade
from carryout.keyring import Keyring
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.settings import Settings, load, secret_keys
from carryout.storage import Storage, open_storage
from carryout.tickets import Tickets

T = TypeVar("T")

DEFAULT_URL: Final = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Session:
    """An open installation."""

    settings: Settings
    keyring: Keyring
    database: Database
    storage: Storage

    @property
    def tickets(self) -> Tickets:
        """Makes and reads the tickets in links."""
        return Tickets(self.keyring)

    @property
    def base_url(self) -> str:
        """What links start with: as configured, else as `serve` listens when it is told nothing."""
        return self.settings.base_url or DEFAULT_URL

    async def find_store(self, text: str) -> Store:
        """The store with this id or domain. Errors: `StoreUnknown`."""
        return await self.database.read(merchants.find_store, text)


def load_settings() -> Settings:
    """The settings of the environment and the working folder. Errors: `SettingWrong`."""
    settings = load(os.environ, Path.cwd())
    logs.configure(settings.log_format, "debug" if settings.log_level == "debug" else "warning")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # looking at the schema is no news
    return settings


def run(work: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
    """Run `work(session, *args, **options)` on the configured installation.

    An embedded database that does not exist yet is made; one of another version is refused.
    """
    settings = load_settings()
    keyring = Keyring(secret_keys(settings))
    prepare(settings)
    return asyncio.run(_run(settings, keyring, lambda session: work(session, *args, **options)))


def prepare(settings: Settings) -> None:
    """Make an embedded database that does not exist yet, else require this version's schema.

    Errors: `SchemaOlder`, `SchemaNewer`, `DatabaseUnreachable`.
    """
    if is_embedded(settings.database_url) and current(settings.database_url) == 0:
        upgrade(settings.database_url)
    else:
        check(settings.database_url)


async def _run(settings: Settings, keyring: Keyring, work: Callable[[Session], Awaitable[T]]) -> T:
    database = open_database(settings.database_url)
    try:
        storage = open_storage(settings.storage_url, settings.aws, settings.data_dir)
        return await work(Session(settings, keyring, database, storage))
    finally:
        await database.close()
