"""`GET /api/v2/customer-account-orders?id={token}`: the answer that everything else exists for (Fileflare API).

Bare ASGI, before the router: it is asked most, and costs one statement and one encoding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from carryout.clock import Clock
from carryout.db import Database
from carryout.entitlements import service as entitlements
from carryout.errors import CarryoutError, Kind
from carryout.orders.service import token_digest
from carryout.storefront import service
from carryout.tickets import Links
from carryout.web.addresses import Trusted, client_network
from carryout.web.guessing import GuessLimit
from carryout.web.problems import http_problem, problem

PATH: Final = "/api/v2/customer-account-orders"

_PLAIN: Final = re.compile(rb"id=([A-Za-z0-9_-]+)")
_ALLOW: Final = "GET, HEAD, OPTIONS"
_SHARED: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_OK: Final = (*_SHARED, (b"content-type", b"application/json"))
_PREFLIGHT: Final = (
    *_SHARED,
    (b"access-control-allow-methods", _ALLOW.encode()),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-max-age", b"7200"),
)


class IdMissing(CarryoutError):
    """The id parameter is required: the order-status token, the last part of the order's page address."""

    kind = Kind.INVALID


class ParameterRepeated(CarryoutError):
    """The {name} parameter must be given once."""

    kind = Kind.INVALID


class OrderNotFound(CarryoutError):
    """There is no order with this id."""

    kind = Kind.NOT_FOUND


class PlanExcludesLinks(CarryoutError):
    """This store's plan does not include customer-account links."""

    kind = Kind.PLAN


@dataclass(frozen=True)
class Route:
    """What the figures call this route."""

    path: str


@dataclass(frozen=True)
class CustomerDoor:
    """Anyone may ask, without a key; misses are counted per address, so a guesser is slowed and a shop's page never.

    `plans` are the names of the plans that include customer-account links.
    """

    database: Database
    links: Links
    now: Clock
    plans: frozenset[str]
    guesses: GuessLimit
    trusted: Trusted
    route: Route = Route(PATH)
    encoder: msgspec.json.Encoder = field(default_factory=msgspec.json.Encoder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every answer may be read by any origin."""
        scope["route"] = self.route
        if scope["method"] == "OPTIONS":
            await _send(send, 204, _PREFLIGHT, b"")
            return
        try:
            body = await self._find(scope)
        except CarryoutError as error:
            await self._refuse(scope, receive, send, problem(scope, error))
        except HTTPException as error:
            await self._refuse(scope, receive, send, http_problem(scope, error))
        else:
            headers = (*_OK, (b"content-length", b"%d" % len(body)))
            await _send(send, 200, headers, b"" if scope["method"] == "HEAD" else body)

    async def _find(self, scope: Mapping[str, Any]) -> bytes:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, headers={"Allow": _ALLOW})
        token, domain = _parameters(scope["query_string"])
        view = await self.database.look_up(entitlements.view_by_token, token_digest(token), domain)
        if view is None:
            self.guesses.refuse_miss(client_network(scope, self.trusted))
            raise OrderNotFound
        if view.order.plan not in self.plans:
            raise PlanExcludesLinks
        return self.encoder.encode(service.reply(view, self.links, self.now()))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, response: Any) -> None:
        response.headers.update({name.decode(): value.decode() for name, value in _SHARED})
        await response(scope, receive, send)


def _parameters(query: bytes) -> tuple[bytes, str | None]:
    """The token's bytes, compared as they are, and the shop's domain where one is named.

    Errors: `IdMissing`, `ParameterRepeated`.
    """
    if plain := _PLAIN.fullmatch(query):
        return plain[1], None
    found: dict[str, bytes] = {}
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        key = unquote_to_bytes(name.replace(b"+", b" ")).decode("latin-1")
        if key not in ("id", "shop"):
            continue
        if key in found:
            raise ParameterRepeated(name=key)
        found[key] = unquote_to_bytes(value.replace(b"+", b" "))
    if "id" not in found:
        raise IdMissing
    shop = found.get("shop")
    # A text that no domain can be stays one: the look-up must miss, not fail.
    return found["id"], None if shop is None else shop.decode("latin-1").replace("\0", "\ufffd").lower()


async def _send(send: Send, status: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
