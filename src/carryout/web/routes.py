"""What every route says of itself: who may enter, how often, how much it may send, and what `HEAD` does.

Closed by default: the application is made of `DeclaredRoute`s alone, so a route that does not say it is not served.
"""

import enum
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

NO_BODY: Final = 0


class Who(enum.Enum):
    """Who may enter."""

    ANYONE = "anyone"
    TOKEN_HOLDER = "whoever knows an order's token"  # noqa: S105 - this says who, it is no secret
    TICKET_HOLDER = "whoever holds a ticket"
    SIGNER = "whoever signs the body"
    KEY_READER = "a key of the merchant API that may read"
    KEY_WRITER = "a key of the merchant API that may write"


class RateLimit(enum.Enum):
    """What is counted, and slowed when it is too much."""

    NOTHING = "nothing"
    MISSES = "look-ups by one address that found nothing (CARRYOUT_GUESS_LIMIT)"
    CALLS = "requests of one key in a minute (CARRYOUT_API_RATE_LIMIT)"
    MAILS = "requests of one key in a minute that may send mail (half as many)"


class Head(enum.Enum):
    """What `HEAD` does."""

    REFUSED = "405"
    LIKE_GET = "the same without the body"
    SPENDS_NOTHING = "it describes, and spends nothing"


@dataclass(frozen=True)
class Declaration:
    """What a route says of itself. `body_limit_bytes` of `NO_BODY`: a body is not read at all."""

    who: Who
    limit: RateLimit
    body_limit_bytes: int
    head: Head


class DeclaredRoute(Route):
    """A route with its declaration. `path_methods` are those of all routes of its path, for the `Allow` of a 405."""

    declaration: Declaration
    path_methods: frozenset[str] = frozenset()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for this path, whatever its method."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self.path_methods or self.methods or ()))})
        await self.app(scope, receive, send)


def route(
    path: str,
    endpoint: Any,
    *,
    methods: Sequence[str],
    who: Who,
    limit: RateLimit,
    body_limit_bytes: int,
    head: Head,
) -> DeclaredRoute:
    """A route that says it all. Starlette lets `HEAD` in wherever `GET` may."""
    declared = DeclaredRoute(path, endpoint, methods=methods)
    if iscoroutinefunction(endpoint):
        declared.app = _answering(endpoint)
    declared.declaration = Declaration(who, limit, body_limit_bytes, head)
    return declared


def _answering(door: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """A door as an application. Its errors end at the edge: what Starlette wraps around a door is left out."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await door(Request(scope, receive, send))
        await response(scope, receive, send)

    return answer


def share_paths(routes: Iterable[DeclaredRoute]) -> None:
    """Tell each route which methods the others of its path answer to."""
    by_path: dict[str, set[str]] = {}
    routes = list(routes)
    for each in routes:
        by_path.setdefault(each.path, set()).update(each.methods or ())
    for each in routes:
        each.path_methods = frozenset(by_path[each.path])
