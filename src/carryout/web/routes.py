"""What every route says of itself: who may enter, how often, how much it may send, and what `HEAD` does.

Closed by default: the application is made of `DeclaredRoute`s alone, so a route that does not say it is not served.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import Route

NO_BODY: Final = 0


class Who(enum.Enum):
    """Who may enter."""

    ANYONE = "anyone"
    TOKEN_HOLDER = "whoever knows an order's token"  # noqa: S105 - this says who, it is no secret
    TICKET_HOLDER = "whoever holds a ticket"
    SIGNER = "whoever signs the body"


class RateLimit(enum.Enum):
    """What is counted, and slowed when it is too much."""

    NOTHING = "nothing"
    MISSES = "look-ups by one address that found nothing (CARRYOUT_GUESS_LIMIT)"


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
    """A route with its declaration."""

    declaration: Declaration


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
    declared.declaration = Declaration(who, limit, body_limit_bytes, head)
    return declared
