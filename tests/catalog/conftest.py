"""Mira's store, and clients of its API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from carryout.catalog.api import CatalogDoor
from carryout.db import Database
from carryout.merchants.model import Dialect, Store
from tests.catalog.callers import Opening
from tests.merchants.callers import calling, make_gate, make_key
from tests.merchants.makers import make_store


@pytest.fixture
async def store(database: Database) -> Store:
    return await database.write(make_store)


@pytest.fixture
def opened(database: Database, store: Store) -> Opening:
    """What opens a client with a key of Mira's store, or of another one."""

    @asynccontextmanager
    async def open_client(dialect: Dialect = Dialect.NEW, owner: Store = store) -> AsyncIterator[httpx.AsyncClient]:
        key = await database.write(make_key, owner, dialect)
        async with calling(CatalogDoor(database).routes(make_gate(database)), key) as client:
            yield client

    return open_client
