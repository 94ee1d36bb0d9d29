"""The deciding door's part: a download is opened and paid for, joined, or refused.

Whoever opens holds the order first, so claims of one order stand in line, in whatever process. Events come last.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import ClientFacts, GrantView, OrderView, Refusal, Refused
from carryout.evidence import service as evidence
from carryout.evidence.model import Event, Subject, Witness
from carryout.sessions import rules, settling, store
from carryout.sessions.model import (
    Asked,
    Client,
    Delivery,
    Opened,
    OrderNote,
    Part,
    SealedLinks,
    Session,
    SessionKind,
)
from carryout.sessions.settling import Held
from carryout.tickets import Ticket


class Visit(NamedTuple):
    """A client at a door of an order that is held."""

    order: OrderView
    note: OrderNote
    client: Client
    facts: ClientFacts
    delivery: Delivery
    now: int

    @property
    def witness(self) -> Witness | None:
        """Who is there, unless the order's person asked to be forgotten."""
        return None if self.note.redacted_at is not None else self.client.witness

    def judge(self, grant: GrantView, *, is_paid: bool = False) -> Refusal | None:
        """The verdict; `is_paid`: as if the use were paid for by an open session."""
        facts = msgspec.structs.replace(self.facts, has_open_session=is_paid)
        return entitlements.verdict(self.order, grant, facts, self.now)


# ── the deciding door


async def decide(
    tx: Tx, ticket: Ticket, client: Client, asked_bytes: int | None, delivery: Delivery, now: int
) -> Opened | Refused:
    """Open a download of the grant behind a ticket, or join this client's, or say why not; either is recorded.

    `asked_bytes` is what the request asks for, None the whole file: an open session whose budget does not cover that
    ends with its use kept. A refusal takes no use and no address. Joining spends and records nothing.
    Errors: `LinkUnknown`.
    """
    found = await entitlements.hold(tx, ticket)
    visit = await visit_of(tx, found.order, client, delivery, now)
    held = await settling.list_held_of_grant(tx, ticket.store_id, ticket.row_id)
    held, events = await _settle_due(tx, visit, held)
    kind = SessionKind.LINK if found.grant.is_link else SessionKind.FILE
    asked = None if asked_bytes is None else [asked_bytes]
    own = [each for each in held if _is_own(each.session, kind, client)]
    if own and (refusal := visit.judge(found.grant, is_paid=True)) is not None:
        return await refuse(tx, visit, found.grant, refusal, events)
    for each in own:
        if rules.is_joinable(*each, asked, now):
            return await _join(tx, visit, each, found.grant.link_url, events)
    for each in own:
        events += await settling.end(tx, visit.note, each, now, kept=range(len(each.parts)))
    idle = [each for each in held if each not in own and rules.is_idle(each.session, now)]
    grant, refusal = await _claim(tx, visit, found.grant, idle, events)
    if refusal is not None:
        return await refuse(tx, visit, grant, refusal, events)
    opened = await _open(tx, visit, kind, [grant], None, events)
    return msgspec.structs.replace(opened, link_url=grant.link_url)


async def decide_all(
    tx: Tx, ticket: Ticket, client: Client, asked: Asked | None, seal: SealedLinks, delivery: Delivery, now: int
) -> Opened | Refused:
    """Open a ZIP of the files that the order behind a ticket allows now, one use of each, or join this client's.

    As `decide`, member by member; when no file is allowed, the first refusal answers. `asked` says what the request
    asks of each part of a session that might be joined; None is all. `seal` gives the `links.txt` to be pinned.
    Errors: `LinkUnknown`.
    """
    order, grants = await entitlements.hold_order(tx, ticket)
    visit = await visit_of(tx, order, client, delivery, now)
    held = await settling.list_held_of_order(tx, ticket.store_id, order.id)
    held, events = await _settle_due(tx, visit, held)
    files = [grant for grant in grants if not grant.is_link]
    openable = {grant.id for grant in files if visit.judge(grant, is_paid=True) is None}
    own = [each for each in held if openable and _is_own(each.session, SessionKind.ZIP, client)]
    for each in own:
        wanted = None if asked is None else asked(*each)
        is_allowed = all(part.grant_id in openable for part in each.parts)
        if is_allowed and rules.is_joinable(*each, wanted, now):
            return await _join(tx, visit, each, None, events)
        events += await settling.end(tx, visit.note, each, now, kept=rules.uncovered(each.parts, wanted))
    claimed, refusals = [], []
    for grant in files:
        idle = [each for each in held if each not in own and _is_idle_of(each, grant.id, now)]
        judged, refusal = await _claim(tx, visit, grant, idle, events)
        claimed += [judged] if refusal is None else []
        refusals += [(judged, refusal)] if refusal is not None else []
    if claimed:
        listed = [grant for grant in grants if grant.is_link and visit.judge(grant) is None]
        return await _open(tx, visit, SessionKind.ZIP, claimed, seal(order, listed) if listed else None, events)
    if not refusals:
        await evidence.record(tx, order.store_id, events, now)
        return entitlements.refuse(order, Refusal.ASSET_UNAVAILABLE)
    return await refuse(tx, visit, *refusals[0], events)


async def visit_of(tx: Tx, order: OrderView, client: Client, delivery: Delivery, now: int) -> Visit:
    """What is known of a client of this order, which is held."""
    facts, redacted_at = await entitlements.meet(tx, order, client.addresses)
    return Visit(order, OrderNote(order.id, order.uid, redacted_at), client, facts, delivery, now)


async def _settle_due(tx: Tx, visit: Visit, held: Sequence[Held]) -> tuple[list[Held], list[Event]]:
    """End what is over: by itself, or with the links that led to it. The sessions that go on, and the events."""
    going, events = [], []
    for each in held:
        is_current = each.session.link_generation == visit.order.link_generation
        if is_current and not rules.is_due(*each, visit.now):
            going.append(each)
        else:
            events += await settling.end(tx, visit.note, each, visit.now)
    return going, events


def _is_own(session: Session, kind: SessionKind, client: Client) -> bool:
    return session.kind is kind and session.address_digest in client.addresses


def _is_idle_of(held: Held, grant_id: int, now: int) -> bool:
    return rules.is_idle(held.session, now) and any(part.grant_id == grant_id for part in held.parts)


async def _join(tx: Tx, visit: Visit, held: Held, link_url: str | None, events: Sequence[Event]) -> Opened:
    await store.update_active(tx, visit.order.store_id, held.session.id, visit.now)
    await evidence.record(tx, visit.order.store_id, events, visit.now)
    return Opened(order=visit.order, session=held.session, parts=held.parts, is_joined=True, link_url=link_url)


async def _claim(
    tx: Tx, visit: Visit, grant: GrantView, idle: Sequence[Held], events: list[Event]
) -> tuple[GrantView, Refusal | None]:
    """Spend one use of a grant; at its limit, idle sessions that would give theirs back end for it, the oldest first.

    The grant as it was judged, with the use, and the refusal where nothing was spent.
    """
    if events:  # what was settled since it was read may have given it a use back
        grant = await _grant(tx, visit, grant.id)
    refusal = visit.judge(grant)
    if refusal is Refusal.DOWNLOAD_LIMIT_REACHED and visit.judge(grant, is_paid=True) is None:
        for each in sorted(idle, key=lambda each: each.session.active_at):
            if not rules.is_giving_back(*each, grant.id):
                continue
            events += await settling.end(tx, visit.note, each, visit.now)
            grant = await _grant(tx, visit, grant.id)
            refusal = visit.judge(grant)
            if refusal is None:
                break
    if refusal is not None:
        return grant, refusal
    used = await entitlements.spend(tx, visit.order.store_id, grant.id)
    if used is None:
        return grant, Refusal.DOWNLOAD_LIMIT_REACHED
    return msgspec.structs.replace(grant, used=used), None


async def _grant(tx: Tx, visit: Visit, grant_id: int) -> GrantView:
    grant = await entitlements.find_grant(tx, visit.order.store_id, grant_id)
    if grant is None:
        raise entitlements.LinkUnknown
    return grant


async def refuse(tx: Tx, visit: Visit, grant: GrantView, refusal: Refusal, events: Sequence[Event]) -> Refused:
    """Record a refusal, and say it in the store's words."""
    decision = evidence.decision(
        Subject(visit.order.id, visit.order.uid, grant.uid, grant.asset_uid),
        grant.filename,
        refusal.value,
        visit.witness,
    )
    await evidence.record(tx, visit.order.store_id, [*events, decision], visit.now)
    return entitlements.refuse(visit.order, refusal)


async def _open(
    tx: Tx, visit: Visit, kind: SessionKind, claimed: Sequence[GrantView], links: bytes | None, events: Sequence[Event]
) -> Opened:
    order, now = visit.order, visit.now
    if visit.facts.is_new_address:
        await entitlements.note_address(tx, order, visit.client.addresses[0], now)
    session = _new_session(visit, kind, links)
    parts = [_new_part(position, grant) for position, grant in enumerate(claimed)]
    session_id = await store.insert_session(tx, order.store_id, session, parts)
    allowed = [
        evidence.decision(
            Subject(visit.order.id, visit.order.uid, grant.uid, grant.asset_uid),
            grant.filename,
            None,
            visit.witness,
            used=grant.used,
        )
        for grant in claimed
    ]
    await evidence.record(tx, order.store_id, [*events, *allowed], now)
    return Opened(
        order=order,
        session=msgspec.structs.replace(session, id=session_id),
        parts=tuple(msgspec.structs.replace(part, session_id=session_id) for part in parts),
    )


def _new_session(visit: Visit, kind: SessionKind, links: bytes | None) -> Session:
    seen = visit.witness
    return Session(
        id=0,
        store_id=visit.order.store_id,
        order_id=visit.order.id,
        kind=kind,
        delivery=visit.delivery,
        link_generation=visit.order.link_generation,
        address_digest=visit.client.addresses[0],
        user_agent=None if seen is None else seen.user_agent,
        opened_at=visit.now,
        ends_at=visit.now + rules.LIFE,
        active_at=visit.now,
        ended_at=None,
        links=links,
    )


def _new_part(position: int, grant: GrantView) -> Part:
    size_bytes = grant.size_bytes or 0
    return Part(
        session_id=0,
        position=position,
        grant_id=grant.id,
        grant_uid=grant.uid,
        asset_uid=grant.asset_uid,
        filename=grant.filename,
        sha256=grant.sha256,
        crc32=grant.crc32,
        size_bytes=size_bytes,
        modified_at=grant.completed_at,
        budget_bytes=rules.budget_bytes(size_bytes),
        sent_bytes=0,
        delivered=(),
        completed_at=None,
        outcome=None,
    )
