"""A running server for a whole test file, and Mira's store in it, to be filled through the rooms' own services."""

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.db import Tx, open_database
from carryout.db.migrate import upgrade
from carryout.entitlements import service
from carryout.entitlements.model import GrantView
from carryout.merchants.model import Store
from carryout.orders.model import Order
from carryout.storage import DiskStorage
from carryout.tickets import Tickets
from tests.cast import NOW
from tests.catalog.makers import make_products
from tests.conftest import SECRET
from tests.entitlements.makers import set_settings
from tests.merchants.makers import KEYRING, make_store
from tests.orders.makers import make_order
from tests.world.program import Server

T = TypeVar("T")
TICKETS = Tickets(KEYRING)


class House:
    """A server process on an SQLite file, and the same file and folder opened beside it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.url = f"sqlite:///{folder / 'carryout.db'}"
        upgrade(self.url)
        self.storage = DiskStorage(folder / "files")
        self.store: Store = self.write(make_store)
        self.write(make_products, self.store.id)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOUT_")}
        ours = {"CARRYOUT_DATA_DIR": str(folder), "CARRYOUT_SECRET_KEY": SECRET, "CARRYOUT_GUESS_LIMIT": "0"}
        self.server = Server({**inherited, **ours, **settings}, folder)
        self._numbers = itertools.count(1)

    def write(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Run one transaction of ours."""

        async def run() -> T:
            database = open_database(self.url)
            try:
                return await database.write(work, *args)
            finally:
                await database.close()

        return asyncio.run(run())

    def set(self, **values: str) -> Store:
        """Change settings of the store."""
        self.store = self.write(set_settings, self.store.id, values)
        return self.store

    def file(self, content: bytes, filename: str = "book.epub") -> Asset:
        """A file asset of these bytes."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        blob = asyncio.run(self.storage.put(self.store.uid, chunks()))
        return self.write(catalog.add_file, self.store.id, filename, blob, NOW)

    def link(self, url: str = "https://www.my-website.com/my-book.pdf", name: str = "My new book") -> Asset:
        """A link asset."""
        return self.write(catalog.add_link, self.store.id, url, name, "10MB", NOW)

    def order(self, *assets: Asset, **changes: Any) -> tuple[Order, str]:
        """An order of its own with these assets attached to itself, and its token."""
        number = next(self._numbers)
        token = f"{number:032x}"
        facts: dict[str, Any] = {"shopify_id": number, "token": token, "order_number": number, "name": None}
        return self.write(partial(_make_order, **facts | changes), self.store, [asset.id for asset in assets]), token

    def grant(self, order: Order) -> GrantView:
        """The order's first grant."""
        return self.write(service.view_by_id, self.store.id, order.id).grants[0]

    def request(self, method: str, path: str, address: str = "127.0.0.1", **options: Any) -> httpx.Response:
        """One request on a connection of its own, from an address of the loopback network."""
        transport = httpx.HTTPTransport(local_address=address)
        with httpx.Client(base_url=self.server.base_url, transport=transport, trust_env=False) as client:
            return client.request(method, path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """One GET."""
        return self.request("GET", path, **options)

    def raw(self, request: bytes) -> bytes:
        """Bytes as they are, and all that comes back."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@contextmanager
def running_house(folder: Path, **settings: str) -> Iterator[House]:
    """A house, and the end of its server."""
    house = House(folder, **settings)
    try:
        yield house
    finally:
        house.server.kill()


async def _make_order(tx: Tx, store: Store, asset_ids: list[int], **changes: Any) -> Order:
    order = await make_order(tx, store, **changes)
    await service.regrant(tx, store, order.id, NOW)
    await service.attach_to_order(tx, store, order.id, asset_ids, NOW)
    return order
