"""A gate with doors behind it, and clients with keys, without a socket: the edge, the router and a real database."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx
from starlette.routing import Router

from carryout.clock import Clock
from carryout.db import Database, Tx
from carryout.merchants import service
from carryout.merchants.gate import Gate
from carryout.merchants.model import Dialect, Store
from carryout.web.edge import Edge
from carryout.web.metrics import Metrics
from carryout.web.routes import DeclaredRoute, share_paths
from tests.cast import NOW
from tests.merchants.makers import KEYRING

BASE_URL: Final = "http://host"


async def make_key(
    tx: Tx, store: Store, dialect: Dialect = Dialect.NEW, scopes: str = "read,write", expires_at: int | None = None
) -> str:
    """A key of the store."""
    _, key = await service.create_key(tx, store.id, "Script", dialect, scopes, expires_at, NOW)
    return key


def make_gate(database: Database, limit: int = 0, now: Clock = lambda: NOW) -> Gate:
    """A gate; 0 is no limit."""
    return Gate(database, KEYRING, now, limit, BASE_URL)


@asynccontextmanager
async def calling(
    routes: Sequence[DeclaredRoute], key: str | None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of these routes that shows the key."""
    share_paths(routes)
    app = Edge(Router(list(routes), redirect_slashes=False), Metrics(), None)
    shown = {} if key is None else {"authorization": f"Bearer {key}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(
        transport=transport, base_url=f"{BASE_URL}/api/v1", headers={**shown, **(headers or {})}
    ) as client:
        yield client
