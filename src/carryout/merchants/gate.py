"""The gate of the merchant API: whose key it is, how often it may call, and that a call repeated is made once.

Every route of `/api/v1` is made by `Gate.route`. A reply to a valid key says how many requests its minute has left. A
`POST` or `PUT` with an `Idempotency-Key` is recorded in the very transaction of its effect (`Caller.write`): the same
call again, within 24 hours, gets the same reply, also after a crash, and also while the first is still at work.
"""

import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from carryout.clock import MINUTE, SECOND, Clock
from carryout.db import Database, Tx
from carryout.errors import CarryoutError, Kind
from carryout.keyring import Keyring
from carryout.merchants import service
from carryout.merchants.model import ApiKey, Dialect, Store
from carryout.merchants.store import calls
from carryout.merchants.store.calls import RecordedCall
from carryout.web.fields import Fields, read_fields
from carryout.web.laravel import Invalid, Paging, read_paging
from carryout.web.problems import STATUS, BodyTooLarge, http_problem, problem, refusal
from carryout.web.routes import NO_BODY, DeclaredRoute, Head, RateLimit, Who, route

PREFIX: Final = "/api/v1"
BODY_LIMIT_BYTES: Final = 1024 * 1024

_IDEMPOTENT: Final = ("POST", "PUT")
_NAME_CHARS: Final = 255
_SEAL: Final = "api reply"
_DIGEST: Final = "api call"

T = TypeVar("T")
Endpoint = Callable[[Request, "Caller"], Awaitable[Response]]


class Unauthenticated(CarryoutError):
    """Unauthenticated."""

    kind = Kind.UNAUTHENTICATED


class ScopeMissing(CarryoutError):
    """This key may not {scope}."""

    kind = Kind.FORBIDDEN


class TooManyCalls(CarryoutError):
    """Too Many Attempts."""

    kind = Kind.TOO_MANY

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds  # type: ignore[misc]  # known only when it happens


class _Reply(msgspec.Struct, frozen=True, array_like=True):
    """A reply as it is kept, sealed."""

    status: int
    media_type: str | None
    body: bytes


@dataclass(frozen=True)
class _Call:
    """A call that is to be made once: the digests of its name and, under every secret key, of its request."""

    name: bytes
    requests: tuple[bytes, ...]


@dataclass(frozen=True)
class Caller:
    """Who calls, with a valid key of the right scope, and what came with it. `now` is when, in microseconds UTC."""

    store: Store
    key: ApiKey
    now: int
    body: bytes
    base_url: str
    _database: Database
    _keyring: Keyring
    _call: _Call | None

    @property
    def is_old(self) -> bool:
        """Whether sizes are shown as texts (the key's dialect)."""
        return self.key.dialect is Dialect.OLD

    def fields(self) -> Fields:
        """The fields of the body. Errors: `Invalid`, where it is no JSON object."""
        return read_fields(self.body)

    def paging(self, request: Request) -> Paging:
        """Which page of a list the request asks for."""
        return read_paging(request, self.base_url)

    async def write(
        self, render: Callable[[T], Response], work: Callable[..., Awaitable[T]], *args: object
    ) -> Response:
        """The reply `render(await work(tx, *args))`, as one transaction with the record that the call was made.

        `render` waits for nothing and reads nothing but what `work` answers. Where the call was made before, nothing
        runs, and the reply is the one of then. Errors: those of `work`, which leave no record, and `Invalid`.
        """
        return await self._database.write(self._write_once, render, work, args)

    async def _write_once(
        self, tx: Tx, render: Callable[[T], Response], work: Callable[..., Awaitable[T]], args: tuple[object, ...]
    ) -> Response:
        call = self._call
        if call is None:
            return render(await work(tx, *args))
        ours = (self.store.id, self.key.id, call.name)
        if not await calls.insert_call(tx, *ours, call.requests[0], self.now):
            return self.repeated(await calls.find_call(tx, *ours, self.now))
        reply = render(await work(tx, *args))
        kept = _Reply(reply.status_code, reply.media_type, bytes(reply.body))
        await calls.update_reply(tx, *ours, self._keyring.seal(msgspec.msgpack.encode(kept), _SEAL))
        return reply

    def repeated(self, recorded: RecordedCall | None) -> Response:
        """The reply of a call that was made before. Errors: `Invalid`, where that was another one."""
        if recorded is None or recorded.reply is None or self._call is None:
            raise Invalid({"Idempotency-Key": ["The Idempotency-Key could not be used; please try again."]})
        if recorded.request_digest not in self._call.requests:
            raise Invalid({"Idempotency-Key": ["The Idempotency-Key was used with another request."]})
        kept = msgspec.msgpack.decode(self._keyring.open(recorded.reply, _SEAL), type=_Reply)
        headers = {"cache-control": "no-store", "idempotency-replayed": "true"}
        return Response(kept.body, kept.status, headers, media_type=kept.media_type)

    async def find_repeated(self) -> Response | None:
        """The reply of the same call made before, or None. Errors: `Invalid`."""
        if self._call is None:
            return None
        ours = (self.store.id, self.key.id, self._call.name)
        recorded = await self._database.look_up(calls.find_call, *ours, self.now)
        return None if recorded is None else self.repeated(recorded)


class Gate:
    """The gate of one process. `limit` is per minute and key, 0 switches it off; `base_url` begins what links say."""

    def __init__(self, database: Database, keyring: Keyring, now: Clock, limit: int, base_url: str) -> None:
        self._database = database
        self._keyring = keyring
        self._now = now
        self._limits = {RateLimit.CALLS: limit, RateLimit.MAILS: -(-limit // 2)}
        self._base_url = base_url
        self._last_uses: dict[int, int] = {}

    def route(
        self,
        path: str,
        endpoint: Endpoint,
        *,
        methods: Sequence[str],
        scope: Literal["read", "write"],
        limit: RateLimit = RateLimit.CALLS,
        body_limit_bytes: int | None = None,
    ) -> DeclaredRoute:
        """A route below `/api/v1`, whose endpoint is called with who calls.

        Writing methods are read a body of 1 MiB, others none, unless `body_limit_bytes` says otherwise.
        """
        if body_limit_bytes is None:
            body_limit_bytes = NO_BODY if scope == "read" or "DELETE" in methods else BODY_LIMIT_BYTES

        async def enter(request: Request) -> Response:
            return await self._enter(request, endpoint, scope, limit, body_limit_bytes)

        return route(
            PREFIX + path,
            enter,
            methods=methods,
            who=Who.KEY_READER if scope == "read" else Who.KEY_WRITER,
            limit=limit,
            body_limit_bytes=body_limit_bytes,
            head=Head.LIKE_GET if "GET" in methods else Head.REFUSED,
        )

    async def flush(self) -> None:
        """Write down when each key was last used; it is kept in memory until then."""
        used, self._last_uses = self._last_uses, {}
        if used:
            await self._database.write(service.update_last_uses, used)

    async def _enter(
        self, request: Request, endpoint: Endpoint, scope: str, limit: RateLimit, body_limit_bytes: int
    ) -> Response:
        now = self._now()
        try:
            store, key = await self._authenticate(request, now)
        except Unauthenticated as error:
            reply = problem(request.scope, error)
            reply.headers["www-authenticate"] = "Bearer"
            return reply
        self._last_uses[key.id] = now
        headers: dict[str, str] = {}
        try:
            await self._count(key, limit, now, headers)
            if scope not in key.scopes.split(","):
                raise ScopeMissing(scope=scope)
            body = await read_body(request, body_limit_bytes) if body_limit_bytes else b""
            call = self._call(request, body)
            caller = Caller(store, key, now, body, self._base_url, self._database, self._keyring, call)
            reply = await caller.find_repeated() or await endpoint(request, caller)
        except CarryoutError as error:
            reply = _problem(request, error)
        except HTTPException as error:
            reply = http_problem(request.scope, error)
        reply.headers.update(headers)
        return reply

    async def _authenticate(self, request: Request, now: int) -> tuple[Store, ApiKey]:
        """Whose key it is. Errors: `Unauthenticated`, the same for whatever is wrong."""
        given = request.headers.getlist("authorization")
        scheme, _, key = given[0].strip().partition(" ") if len(given) == 1 else ("", "", "")
        found = None
        if scheme.lower() == "bearer":
            found = await self._database.look_up(service.find_by_key, key.strip(), now)
        if found is None:
            raise Unauthenticated
        return found

    async def _count(self, key: ApiKey, bucket: RateLimit, now: int, headers: dict[str, str]) -> None:
        """Count the request, and say in the headers what is left. Errors: `TooManyCalls`, which is not counted."""
        limit = self._limits[bucket]
        if not limit:
            return
        ours = (key.store_id, key.id, bucket.name.lower())
        rate = await self._database.write(calls.spend_request, *ours, limit, now)
        headers["x-ratelimit-limit"] = str(limit)
        headers["x-ratelimit-remaining"] = str(limit - rate.requests if rate else 0)
        if rate is None:
            current = await self._database.look_up(calls.find_rate, *ours)
            ends_at = (current.began_at if current else now) + MINUTE
            raise TooManyCalls(max(1, math.ceil((ends_at - now) / SECOND)))

    def _call(self, request: Request, body: bytes) -> _Call | None:
        """The call that is to be made once, where it has a name. Errors: `Invalid`."""
        names = [name.strip() for name in request.headers.getlist("idempotency-key")]
        if not any(names) or request.method not in _IDEMPOTENT:
            return None
        if len(names) > 1 or len(names[0]) > _NAME_CHARS:
            raise Invalid(
                {"Idempotency-Key": [f"There may be one Idempotency-Key, of at most {_NAME_CHARS} characters."]}
            )
        target = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        text = f"{request.method} {target.decode('latin-1')}\n{hashlib.sha256(body).hexdigest()}"
        name = hashlib.sha256(names[0].encode()).digest()
        return _Call(name, tuple(self._keyring.digests(_DIGEST, text)))


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, of which no more than the limit is ever held. Errors: `BodyTooLarge`."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit_bytes:
        raise BodyTooLarge(limit_bytes=limit_bytes)
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise BodyTooLarge(limit_bytes=limit_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _problem(request: Request, error: CarryoutError) -> Response:
    """The reply for an error; every 422 has Laravel's `errors`."""
    if STATUS[error.kind] != HTTPStatus.UNPROCESSABLE_ENTITY:
        return problem(request.scope, error)
    errors = error.errors if isinstance(error, Invalid) else {error.field: [error.message]}
    return refusal(request.scope, 422, error.message, error.code, errors=errors)
