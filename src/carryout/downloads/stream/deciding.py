"""`GET /d/{ticket}/{filename}`: decides, spends one use, and leads on to the bytes or to a link's target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from carryout.clock import Clock
from carryout.db import Database, Tx
from carryout.downloads import archive, ranges
from carryout.downloads.sources import FileSource, PartReader, Source, ZipSource, asked_bytes, pinned, source_of
from carryout.downloads.stream.entrance import Entrance, is_prefetch
from carryout.downloads.stream.handover import Handover
from carryout.downloads.stream.replies import (
    NO_STORE,
    nothing,
    redirect,
    refused,
    whole_headers,
    without_body,
    zip_name,
)
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import Claimed, CustomerView, GrantView, OrderView, Refusal, Refused
from carryout.orders.service import OrderUnknown
from carryout.sessions import service as sessions
from carryout.sessions.model import Delivery, Opened, Part, Session, SessionKind
from carryout.storage import BlobMissing, Storage
from carryout.tickets import Links, Ticket, TicketKind


@dataclass(frozen=True)
class DecidingDoor:
    """Whoever holds the ticket of a grant, or of an order for all of it as a ZIP, may enter.

    Wrong tickets are counted per address. `HEAD`, prefetches, and what cannot be delivered spend nothing.
    """

    database: Database
    storage: Storage
    entrance: Entrance
    links: Links
    now: Clock
    handover: Handover
    count_verdict: Callable[[str], None]

    async def download(self, request: Request) -> Response:
        """Spend a use and lead on. Errors: `LinkUnknown`, `TooManyGuesses`, the storage's."""
        with self.entrance.counting_misses(request):
            kind, ticket = self.entrance.ticket(request, TicketKind.GRANT, TicketKind.ORDER)
            return await (self._one(request, ticket) if kind is TicketKind.GRANT else self._all(request, ticket))

    # ── one file or link

    async def _one(self, request: Request, ticket: Ticket) -> Response:
        found = await self.database.read(entitlements.find_by_ticket, ticket)
        if is_prefetch(request):
            return nothing()
        refusal = entitlements.judge_claim(found, self.now())
        # At its limit a grant may have a download to be joined, or one that gives its use up for this.
        is_at_limit = refusal is not None and refusal.refusal is Refusal.DOWNLOAD_LIMIT_REACHED
        delivery = self.handover.delivery(found.order)
        asked: int | None = None
        if (refusal is None or is_at_limit) and not found.grant.is_link:
            # Open first, spend second: what cannot be delivered costs nothing.
            if not await self._are_there(found.order, [found.grant]):
                return self._refuse(request, refusal or entitlements.refuse(found.order, Refusal.ASSET_UNAVAILABLE))
            source = _newest(found.grant)
            # Whoever sends in our stead has other validators than ours.
            decision = _decision(request, source) if delivery is Delivery.SENT else ranges.Whole(source.size_bytes)
            reply = without_body(request.scope, source, decision)
            if reply and (refusal is None or await self._has_open(request, found)):
                return reply
            asked = None if reply or isinstance(decision, ranges.Whole) else ranges.requested_bytes(decision)
        if request.method == "HEAD":
            is_open = refusal is None or (is_at_limit and await self._has_open(request, found))
            return self._refuse(request, refusal) if refusal and not is_open else _described(found.grant)
        client = self.entrance.client(request)
        outcome = await self.database.write(sessions.decide, ticket, client, asked, delivery, self.now())
        return self._answer(request, outcome)

    async def _has_open(self, request: Request, found: Claimed) -> bool:
        """Whether this client has a download of the grant that it may join for all of it."""
        client, order = self.entrance.client(request), found.order
        joinable = await self.database.read(sessions.list_open, order.store_id, order.id, client.addresses, self.now())
        return any(found.grant.id in each.grant_ids for each in joinable if each.kind is not SessionKind.ZIP)

    # ── everything as a ZIP

    async def _all(self, request: Request, ticket: Ticket) -> Response:
        view = await self.database.read(_view, ticket)
        if is_prefetch(request):
            return nothing()
        allowed = [judged.grant for judged in entitlements.judge(view, self.now()) if judged.refusal is None]
        files = [grant for grant in allowed if not grant.is_link]
        if not await self._are_there(view.order, files):
            return self._refuse(request, entitlements.refuse(view.order, Refusal.ASSET_UNAVAILABLE))
        if request.method == "HEAD":
            return self._describe_all(request, view, allowed)
        client = self.entrance.client(request)
        asked = partial(self._asked_of_zip, request) if "range" in request.headers else None
        outcome = await self.database.write(
            sessions.decide_all, ticket, client, asked, self._sealed_links, Delivery.SENT, self.now()
        )
        return self._answer(request, outcome)

    def _describe_all(self, request: Request, view: CustomerView[GrantView], allowed: Sequence[GrantView]) -> Response:
        files = [pinned(grant) for grant in allowed if not grant.is_link]
        if not files:
            judged = [each for each in entitlements.judge(view, self.now()) if not each.grant.is_link]
            first = next((each.refusal for each in judged if each.refusal), Refusal.ASSET_UNAVAILABLE)
            return self._refuse(request, entitlements.refuse(view.order, first))
        listed = [grant for grant in allowed if grant.is_link]
        source = ZipSource(files, self._links_text(view.order, listed) if listed else None, self.now())
        # Only when it is opened, its validators are known.
        unknown = {"etag", "last-modified"}
        headers = whole_headers(source, zip_name(view.order))
        return Response(headers={name: value for name, value in headers.items() if name not in unknown})

    def _asked_of_zip(self, request: Request, session: Session, parts: Sequence[Part]) -> list[int]:
        source = source_of(session, parts, sessions.open_links(session, self.entrance.keyring))
        return asked_bytes(source, _decision(request, source), len(parts))

    def _sealed_links(self, order: OrderView, grants: Sequence[GrantView]) -> bytes:
        return sessions.seal_links(self.entrance.keyring, self._links_text(order, grants))

    def _links_text(self, order: OrderView, grants: Sequence[GrantView]) -> bytes:
        owner, generation = order.store_id, order.link_generation
        return archive.links_text(
            archive.Link(grant.filename, self.links.grant(owner, grant.id, generation, grant.filename))
            for grant in grants
        )

    # ── both

    async def _are_there(self, order: OrderView, grants: Sequence[GrantView]) -> bool:
        reader = PartReader(self.storage, order.store_uid, [pinned(grant) for grant in grants])
        try:
            await reader.prove(range(len(grants)))
        except BlobMissing:
            return False
        finally:
            await reader.close()
        return True

    def _answer(self, request: Request, outcome: Opened | Refused) -> Response:
        if isinstance(outcome, Refused):
            return self._refuse(request, outcome)
        self.count_verdict("allowed")
        if outcome.session.kind is SessionKind.LINK:
            return redirect(outcome.link_url or "")
        is_zip = outcome.session.kind is SessionKind.ZIP
        name = zip_name(outcome.order) if is_zip else outcome.parts[0].filename
        order = outcome.order
        return redirect(self.links.session(order.store_id, outcome.session.id, order.link_generation, name))

    def _refuse(self, request: Request, found: Refused) -> Response:
        self.count_verdict(found.refusal.value)
        return refused(request, found)


async def _view(tx: Tx, ticket: Ticket) -> CustomerView[GrantView]:
    try:
        view = await entitlements.view_by_id(tx, ticket.store_id, ticket.row_id)
    except OrderUnknown:
        raise entitlements.LinkUnknown from None
    if view.order.link_generation != ticket.generation:
        raise entitlements.LinkUnknown
    return view


def _decision(request: Request, source: Source) -> ranges.Decision:
    headers = request.scope["headers"]
    return ranges.decide(request.method, headers, source.etag, source.modified_seconds, source.size_bytes)


def _newest(grant: GrantView) -> FileSource:
    return FileSource(grant.sha256 or b"", grant.size_bytes or 0, grant.completed_at or 0)


def _described(grant: GrantView) -> Response:
    """What `HEAD` tells: size and type of a file; of a link only that it is one."""
    return Response(headers=NO_STORE if grant.is_link else whole_headers(_newest(grant), grant.filename))
