"""`GET /d/{ticket}/{filename}`: decides, spends one use, and sends the file or redirects to the link."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from carryout.clock import Clock
from carryout.db import Database
from carryout.downloads.disposition import file_headers
from carryout.entitlements import service
from carryout.entitlements.model import Claimed, GrantView, Refusal, Refused
from carryout.keyring import Keyring
from carryout.storage import BlobMissing, OpenBlob, Storage
from carryout.tickets import Ticket, TicketKind, Tickets
from carryout.web.addresses import Trusted, client_network
from carryout.web.guessing import GuessLimit
from carryout.web.problems import refusal as refusal_reply

STATUS: Final = {
    Refusal.ACCESS_BLOCKED: HTTPStatus.FORBIDDEN,
    Refusal.ORDER_CANCELLED: HTTPStatus.FORBIDDEN,
    Refusal.FRAUD_SUSPECTED: HTTPStatus.FORBIDDEN,
    Refusal.ORDER_REFUNDED: HTTPStatus.FORBIDDEN,
    Refusal.ORDER_NOT_PAID: HTTPStatus.PAYMENT_REQUIRED,
    Refusal.NOT_YET_AVAILABLE: HTTPStatus.FORBIDDEN,
    Refusal.EXPIRED: HTTPStatus.GONE,
    Refusal.DOWNLOAD_LIMIT_REACHED: HTTPStatus.FORBIDDEN,
    Refusal.IP_LIMIT_REACHED: HTTPStatus.FORBIDDEN,
    Refusal.ASSET_UNAVAILABLE: HTTPStatus.NOT_FOUND,
}
_FIRST_CHUNK_BYTES: Final = 64 * 1024
_LAST_CHUNK_BYTES: Final = 1024 * 1024
_PREFETCH_HEADERS: Final = ("sec-purpose", "purpose", "x-moz")
_PREFETCH_WORDS: Final = ("prefetch", "prerender", "preview")
_NO_STORE: Final = {"cache-control": "private, no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}


@dataclass(frozen=True)
class DecidingDoor:
    """Whoever holds a ticket may enter; wrong tickets are counted per address. `HEAD` and prefetches spend nothing."""

    database: Database
    storage: Storage
    tickets: Tickets
    keyring: Keyring
    now: Clock
    guesses: GuessLimit
    trusted: Trusted
    count_verdict: Callable[[str], None]

    async def download(self, request: Request) -> Response:
        """Spend a use and deliver. Errors: `LinkUnknown`, `TooManyGuesses`, the storage's."""
        network = client_network(request.scope, self.trusted)
        ticket = self._ticket(request, network)
        try:
            found = await self.database.read(service.find_by_ticket, ticket)
        except service.LinkUnknown:
            self.guesses.refuse_miss(network)
            raise
        if _is_prefetch(request):
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=_NO_STORE)
        if refused := service.judge_claim(found, self.now()):
            return self._refused(request, refused)
        # Open first, spend second: what cannot be delivered costs nothing.
        blob = await self._open(found)
        if blob is None and not found.grant.is_link:
            return self._refused(request, service.refuse(found.order, Refusal.ASSET_UNAVAILABLE))
        if request.method == "HEAD":
            await _close(blob)
            return _described(found)
        return await self._deliver(request, ticket, found, blob, network)

    async def _deliver(
        self, request: Request, ticket: Ticket, found: Claimed, blob: OpenBlob | None, network: str
    ) -> Response:
        digests = self.keyring.digests("address", network)
        try:
            outcome = await self.database.write(service.claim, ticket, digests, self.now())
        except BaseException:
            await _close(blob)
            raise
        if isinstance(outcome, Refused):
            await _close(blob)
            return self._refused(request, outcome)
        self.count_verdict("allowed")
        if blob is None:
            return _redirect(outcome.grant)
        return _FileResponse(blob, _headers(found.grant))

    def _ticket(self, request: Request, network: str) -> Ticket:
        ticket = self.tickets.read(TicketKind.GRANT, request.path_params["ticket"])
        if ticket is None:
            self.guesses.refuse_miss(network)
            raise service.LinkUnknown
        return ticket

    async def _open(self, found: Claimed) -> OpenBlob | None:
        if found.grant.sha256 is None:
            return None
        try:
            blob = await self.storage.open(found.order.store_uid, found.grant.sha256)
        except BlobMissing:
            return None
        if blob.size_bytes == found.grant.size_bytes:
            return blob
        await blob.close()  # damaged: what we would send is not what was promised
        return None

    def _refused(self, request: Request, refused: Refused) -> Response:
        code = refused.refusal.value
        self.count_verdict(code)
        return refusal_reply(request.scope, STATUS[refused.refusal], refused.message, code)


class _FileResponse(StreamingResponse):
    """Sends the file and lets go of it, also when the client leaves before the first byte."""

    def __init__(self, blob: OpenBlob, headers: dict[str, str]) -> None:
        super().__init__(_chunks(blob), headers=headers)
        self._blob = blob

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._blob.close()


def _is_prefetch(request: Request) -> bool:
    said = " ".join(request.headers.get(name, "") for name in _PREFETCH_HEADERS).lower()
    return any(word in said for word in _PREFETCH_WORDS)


def _headers(grant: GrantView) -> dict[str, str]:
    digest = grant.sha256 or b""
    return file_headers(grant.filename) | {
        "content-length": str(grant.size_bytes),
        "etag": f'"{digest.hex()}"',
        "repr-digest": f"sha-256=:{base64.b64encode(digest).decode()}:",
        "accept-ranges": "none",
    }


def _described(found: Claimed) -> Response:
    """What `HEAD` tells: size and type of a file; of a link only that it is one."""
    if found.grant.is_link:
        return Response(status_code=HTTPStatus.OK, headers=_NO_STORE)
    return Response(status_code=HTTPStatus.OK, headers=_headers(found.grant))


def _redirect(grant: GrantView) -> Response:
    return Response(status_code=HTTPStatus.FOUND, headers=_NO_STORE | {"location": grant.link_url or ""})


async def _chunks(blob: OpenBlob) -> AsyncIterator[bytes]:
    """The file in chunks that grow for a reader who keeps up; the caller's back-pressure decides the pace."""
    offset = 0
    length = _FIRST_CHUNK_BYTES
    while offset < blob.size_bytes:
        chunk = await blob.read(offset, length)
        yield chunk
        offset += len(chunk)
        length = min(length * 2, _LAST_CHUNK_BYTES)
        blob.expect(offset, length)


async def _close(blob: OpenBlob | None) -> None:
    if blob is not None:
        await blob.close()
