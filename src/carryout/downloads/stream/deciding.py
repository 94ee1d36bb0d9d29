"""`GET /d/{ticket}/{filename}`: decides, spends one use, and leads on to the bytes or to a link's target."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from carryout.clock import Clock
from carryout.db import Database, Tx
from carryout.downloads import archive, ranges
from carryout.downloads.sources import FileSource, PartReader, Pinned, Source, ZipSource, asked_bytes, pinned, source_of
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
from carryout.entitlements.model import Claimed, ClientFacts, CustomerView, GrantView, OrderView, Refusal, Refused
from carryout.orders.service import OrderUnknown
from carryout.sessions import service as sessions
from carryout.sessions.model import Delivery, Opened, Part, Session, SessionKind
from carryout.storage import BlobMissing, Storage
from carryout.tickets import Links, Ticket, TicketKind

_PARTICULAR: Final = {"range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"}


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
        found = await self.database.look_up(entitlements.find_by_ticket, ticket)
        if is_prefetch(request):
            return nothing()
        refusal = entitlements.judge_claim(found, self.now())
        # At its limit a grant may have a download to be joined, or one that gives its use up for this.
        is_at_limit = refusal is not None and refusal.refusal is Refusal.DOWNLOAD_LIMIT_REACHED
        delivery = self.handover.delivery(found.order)
        asked: int | None = None
        if (refusal is None or is_at_limit) and not found.grant.is_link:
            # Open first, spend second: what cannot be delivered costs nothing.
            begun = await self._begun(request, found.order, SessionKind.FILE, found.grant.id)
            version = begun.parts[0] if begun else pinned(found.grant)
            if not await self._are_there(found.order, [version]):
                return self._refuse(request, refusal or entitlements.refuse(found.order, Refusal.ASSET_UNAVAILABLE))
            source = _source(version)
            # Whoever sends in our stead has other validators than ours.
            decision = _decision(request, source) if delivery is Delivery.SENT else ranges.Whole(source.size_bytes)
            reply = without_body(request.scope, source, decision)
            if request.method == "HEAD":
                reply = reply or Response(headers=whole_headers(source, version.filename))
            if reply and (refusal is None or await self._is_to_be_had(request, found)):
                return reply
            asked = None if reply or isinstance(decision, ranges.Whole) else ranges.requested_bytes(decision)
        if request.method == "HEAD":  # of a link only that it is one
            is_link_open = is_at_limit and found.grant.is_link and await self._is_to_be_had(request, found)
            return self._refuse(request, refusal) if refusal and not is_link_open else Response(headers=NO_STORE)
        client = self.entrance.client(request)
        outcome = await self.database.write(sessions.decide, ticket, client, asked, delivery, self.now())
        return self._answer(request, outcome)

    async def _is_to_be_had(self, request: Request, found: Claimed) -> bool:
        """Whether at the limit this client has a download to be joined for all of it, or one would give its use up."""
        client, order = self.entrance.client(request), found.order
        joinable = await self.database.read(sessions.list_open, order.store_id, order.id, client.addresses, self.now())
        if any(found.grant.id in each.grant_ids for each in joinable if each.kind is not SessionKind.ZIP):
            return True
        grants = await self.database.read(sessions.foresee, order, [found.grant], client.addresses, self.now())
        return entitlements.judge_claim(Claimed(order, grants[0]), self.now()) is None

    # ── everything as a ZIP

    async def _all(self, request: Request, ticket: Ticket) -> Response:
        view = await self.database.read(_view, ticket)
        if is_prefetch(request):
            return nothing()
        if _is_particular(request) and (reply := await self._looked_at_all(request, view)):
            return reply
        if not await self._are_there(view.order, [pinned(grant) for grant in self._allowed(view) if not grant.is_link]):
            return self._refuse(request, entitlements.refuse(view.order, Refusal.ASSET_UNAVAILABLE))
        client = self.entrance.client(request)
        asked = partial(self._asked_of_zip, request) if "range" in request.headers else None
        outcome = await self.database.write(
            sessions.decide_all, ticket, client, asked, self._sealed_links, Delivery.SENT, self.now()
        )
        return self._answer(request, outcome)

    async def _looked_at_all(self, request: Request, view: CustomerView[GrantView]) -> Response | None:
        """What `HEAD` gets, or a request that leaves nothing to send: of this client's open ZIP, or of a new one."""
        begun = await self._begun(request, view.order, SessionKind.ZIP, None)
        if begun and {part.grant_id for part in begun.parts} <= self._allowed_once_paid(view):
            parts: Sequence[Pinned | Part] = begun.parts
            source = source_of(begun.session, begun.parts, sessions.open_links(begun.session, self.entrance.keyring))
        else:
            begun, allowed = None, self._allowed(await self._foreseen(request, view))
            parts = [pinned(grant) for grant in allowed if not grant.is_link]
            listed = [grant for grant in allowed if grant.is_link]
            source = ZipSource(parts, self._links_text(view.order, listed) if listed else None, self.now())
        if not parts:
            return self._refuse_all(request, view) if request.method == "HEAD" else None
        if not await self._are_there(view.order, parts):
            return self._refuse(request, entitlements.refuse(view.order, Refusal.ASSET_UNAVAILABLE))
        decision = _decision(request, source)
        reply = without_body(request.scope, source, decision)
        if reply and (begun or isinstance(decision, ranges.Unsatisfiable)):
            return reply
        if request.method != "HEAD":
            return None
        # Only when it is opened, its validators are known.
        unknown = set() if begun else {"etag", "last-modified"}
        headers = whole_headers(source, zip_name(view.order))
        return Response(headers={name: value for name, value in headers.items() if name not in unknown})

    def _refuse_all(self, request: Request, view: CustomerView[GrantView]) -> Response:
        judged = [each for each in entitlements.judge(view, self.now()) if not each.grant.is_link]
        first = next((each.refusal for each in judged if each.refusal), Refusal.ASSET_UNAVAILABLE)
        return self._refuse(request, entitlements.refuse(view.order, first))

    def _allowed(self, view: CustomerView[GrantView]) -> list[GrantView]:
        return [judged.grant for judged in entitlements.judge(view, self.now()) if judged.refusal is None]

    def _allowed_once_paid(self, view: CustomerView[GrantView]) -> set[int]:
        paid = ClientFacts(is_new_address=False, addresses=0, has_open_session=True)
        return {judged.grant.id for judged in entitlements.judge(view, self.now(), paid) if judged.refusal is None}

    async def _foreseen(self, request: Request, view: CustomerView[GrantView]) -> CustomerView[GrantView]:
        addresses = self.entrance.client(request).addresses
        grants = await self.database.read(sessions.foresee, view.order, view.grants, addresses, self.now())
        return CustomerView(view.order, view.lines, grants)

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

    async def _begun(
        self, request: Request, order: OrderView, kind: SessionKind, grant_id: int | None
    ) -> Opened | None:
        """What this client has open, if the request is about one version of it: it may be older than the newest."""
        if not _is_particular(request):
            return None
        addresses = self.entrance.client(request).addresses
        return await self.database.read(sessions.find_begun, order, kind, grant_id, addresses, self.now())

    async def _are_there(self, order: OrderView, parts: Sequence[Pinned | Part]) -> bool:
        reader = PartReader(self.storage, order.store_uid, parts)
        try:
            await reader.prove(range(len(parts)))
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


def _is_particular(request: Request) -> bool:
    """Whether it matters to the answer which bytes they are."""
    return request.method == "HEAD" or not _PARTICULAR.isdisjoint(request.headers.keys())


def _source(version: Pinned | Part) -> FileSource:
    return FileSource(version.sha256 or b"", version.size_bytes or 0, version.modified_at or 0)
