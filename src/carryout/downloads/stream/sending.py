"""`GET /f/{ticket}/{filename}`: sends the bytes of a session, whole or in ranges, or leads on to who sends them."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from carryout.clock import SECOND, Clock
from carryout.db import Database
from carryout.downloads import ranges
from carryout.downloads.archive import MemberSlice
from carryout.downloads.disposition import content_disposition, file_headers, media_type
from carryout.downloads.sources import PartReader, Source, reply_pieces, source_of
from carryout.downloads.stream.entrance import Entrance, is_prefetch
from carryout.downloads.stream.handover import Handover
from carryout.downloads.stream.replies import nothing, redirect, refused, whole_headers, without_body, zip_name
from carryout.downloads.transfers import Transfers
from carryout.downloads.wire import Wire
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import Refusal, Refused
from carryout.errors import CarryoutError
from carryout.sessions import service as sessions
from carryout.sessions.model import Delivery, Opened, SessionKind
from carryout.storage import BlobMissing, Storage
from carryout.tickets import Links, Ticket, TicketKind
from carryout.web.problems import STATUS, refusal

_PRESIGNED_SECONDS: Final = 60
_INTERNAL: Final = "/_carryout/"
# What may be sent that is of no file: twice the frame of a ZIP, and so much for the headers between ranges.
_SPARE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class SendingDoor:
    """Whoever holds the ticket of a session may enter; wrong tickets are counted per address. `HEAD` takes nothing."""

    database: Database
    storage: Storage
    entrance: Entrance
    links: Links
    now: Clock
    handover: Handover
    transfers: Transfers
    count_verdict: Callable[[str], None]

    async def send(self, request: Request) -> Response:
        """Send what is asked for. Errors: `LinkUnknown`, `TooManyGuesses`, the storage's."""
        asked_at = asyncio.get_running_loop().time()
        with self.entrance.counting_misses(request):
            _, ticket = self.entrance.ticket(request, TicketKind.SESSION)
            try:
                found = await self._find(request, ticket)
                if isinstance(found, Opened) and await self.transfers.is_used_up(found.session.id):
                    found = await self._find(request, ticket)
            except sessions.SessionEnded as error:
                return self._ended(request, ticket, error)
        if found is None:
            return nothing()
        if isinstance(found, Refused):
            self.count_verdict(found.refusal.value)
            return refused(request, found)
        return await self._reply(request, found, asked_at)

    async def _find(self, request: Request, ticket: Ticket) -> Opened | Refused | None:
        """The session, or why it is not sent from; None for a prefetch. A client that takes nothing leaves no trace."""
        now, client = self.now(), self.entrance.client(request)
        if request.method == "HEAD" or is_prefetch(request):
            found = await self.database.read(sessions.look, ticket, now)
        else:
            found = await self.database.read(sessions.find_session, ticket, client, now)
        if is_prefetch(request):
            return None
        resumed = None if found else await self.database.write(sessions.resume, ticket, client, now)
        opened = found or resumed
        if isinstance(opened, Opened) and opened.session.kind is SessionKind.LINK:
            raise entitlements.LinkUnknown
        return opened

    def _ended(self, request: Request, ticket: Ticket, error: sessions.SessionEnded) -> Response:
        order_url = self.links.order(ticket.store_id, error.order_id, ticket.generation)
        return refusal(request.scope, STATUS[error.kind], error.message, error.code, way_on=order_url)

    async def _reply(self, request: Request, opened: Opened, asked_at: float) -> Response:
        # A URL that is signed for GET answers no HEAD, which takes nothing anyway.
        is_handed_over = opened.session.delivery is Delivery.REDIRECT and (
            request.method == "GET" or self.handover is Handover.PROXY
        )
        if is_handed_over and (reply := self._handed_over(opened)):
            return reply
        source = source_of(opened.session, opened.parts, sessions.open_links(opened.session, self.entrance.keyring))
        decision = ranges.decide(
            request.method, request.scope["headers"], source.etag, source.modified_seconds, source.size_bytes
        )
        if reply := without_body(request.scope, source, decision):
            return reply
        body = Body(opened, source, decision, PartReader(self.storage, opened.order.store_uid, opened.parts))
        try:
            await body.prove()
        except BlobMissing:
            await body.reader.close()
            self.count_verdict(Refusal.ASSET_UNAVAILABLE.value)
            return refused(request, entitlements.refuse(opened.order, Refusal.ASSET_UNAVAILABLE))
        except BaseException:
            await body.reader.close()
            raise
        if request.method == "HEAD":
            await body.reader.close()
            return Response(headers=body.headers)
        return TransferResponse(body, self.transfers, asked_at)

    def _handed_over(self, opened: Opened) -> Response | None:
        """To who sends in our stead; None when nobody does any more, and we send ourselves."""
        part, store_uid = opened.parts[0], opened.order.store_uid
        digest = part.sha256 or b""
        if self.handover is Handover.PROXY:
            path = _INTERNAL + self.storage.object_name(store_uid, digest)
            ours = {"x-accel-redirect": path, "repr-digest": _repr_digest(opened)}
            return Response(headers=file_headers(part.filename) | ours)
        left_seconds = max((opened.session.ends_at - self.now()) // SECOND, 1)
        url = self.storage.presign(
            store_uid,
            digest,
            disposition=content_disposition(part.filename),
            media_type=media_type(part.filename),
            ttl_seconds=min(left_seconds, _PRESIGNED_SECONDS),
        )
        return None if url is None else redirect(url)


def _repr_digest(opened: Opened) -> str:
    return source_of(opened.session, opened.parts, None).repr_digest or ""


class Body:
    """What a GET is answered: headers, and the pieces of the body in their order."""

    def __init__(self, opened: Opened, source: Source, decision: ranges.Decision, reader: PartReader) -> None:
        is_zip = opened.session.kind is SessionKind.ZIP
        filename = zip_name(opened.order) if is_zip else opened.parts[0].filename
        self.opened = opened
        self.source = source
        self.decision = decision
        self.reader = reader
        self.status = HTTPStatus.OK if isinstance(decision, ranges.Whole) else HTTPStatus.PARTIAL_CONTENT
        self.headers = whole_headers(source, filename)
        several = None
        if isinstance(decision, ranges.OneRange):
            self.headers["content-length"] = str(decision.end - decision.start)
            self.headers["content-range"] = ranges.content_range(decision)
        elif isinstance(decision, ranges.SeveralRanges):
            several = ranges.multipart(decision, secrets.token_hex(16), self.headers["content-type"])
            self.headers["content-length"] = str(several.length_bytes)
            self.headers["content-type"] = several.content_type
        self.pieces = list(reply_pieces(source, decision, several))

    @property
    def literal_bytes(self) -> int:
        """What the transfers of the session may send that is of no part."""
        frame_bytes = self.source.size_bytes - sum(part.size_bytes for part in self.opened.parts)
        return 2 * frame_bytes + _SPARE_BYTES

    @property
    def empty_positions(self) -> list[int]:
        """The parts that this answer delivers by being one."""
        return [part.position for part in self.opened.parts if not part.size_bytes and part.completed_at is None]

    async def prove(self) -> None:
        """Miss what is missing before the first byte. Errors: `BlobMissing`, `StorageUnavailable`."""
        wanted = {piece.member for piece in self.pieces if isinstance(piece, MemberSlice)}
        await self.reader.prove(sorted(wanted))


class TransferResponse(Response):
    """Sends a body through the transfers; what breaks it breaks the connection, so that it does not look whole."""

    def __init__(self, body: Body, transfers: Transfers, asked_at: float) -> None:
        super().__init__(status_code=body.status, headers=body.headers)
        self._body = body
        self._transfers = transfers
        self._asked_at = asked_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Send it."""
        body = self._body
        wire = Wire(scope, send)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            with self._transfers.sending(body.opened, wire, body.literal_bytes, self._asked_at) as transfer:
                transfer.note_empty(body.empty_positions)
                is_sent = await transfer.send(body.pieces, body.reader)
            await (wire.finish() if is_sent else wire.hang_up())
        except CarryoutError as error:
            structlog.get_logger("carryout.downloads").warning("a download broke off", reason=error.message)
            await wire.hang_up()
        finally:
            await body.reader.close()
