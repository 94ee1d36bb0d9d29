"""Opening, joining, resuming and stopping downloads: what the two doors ask (docs/decisions/0008)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import CustomerView, GrantFacts, GrantView, OrderFacts, OrderView, Refusal, Refused
from carryout.errors import CarryoutError, Kind
from carryout.evidence import service as evidence
from carryout.evidence.model import Subject
from carryout.keyring import Keyring
from carryout.merchants.model import RiskLevel
from carryout.sessions import rules, settling, store
from carryout.sessions.model import Account, Client, Joinable, Opened, Session, SessionKind, Watched
from carryout.sessions.opening import decide, decide_all, visit_of
from carryout.sessions.rules import add_interval, covered
from carryout.sessions.settling import list_due, prune, record, settle_order
from carryout.sessions.store import list_pinned
from carryout.tickets import Ticket

__all__ = [
    "SessionEnded",
    "add_interval",
    "covered",
    "decide",
    "decide_all",
    "find_begun",
    "find_session",
    "foresee",
    "forget",
    "list_due",
    "list_open",
    "list_pinned",
    "list_stopped",
    "look",
    "open_links",
    "prune",
    "record",
    "resume",
    "seal_links",
    "settle_order",
]

_SEAL: Final = "links"


class SessionEnded(CarryoutError):
    """This download has ended. Please open the page of your order and start it again."""

    kind = Kind.GONE

    def __init__(self, order_id: int) -> None:
        super().__init__()
        self.order_id = order_id  # our key


# ── a ZIP's list of links


def seal_links(keyring: Keyring, text: bytes) -> bytes:
    """The text of a ZIP's `links.txt` as a session keeps it: it holds working links."""
    return keyring.seal(text, _SEAL)


def open_links(session: Session, keyring: Keyring) -> bytes | None:
    """The text of `links.txt`, or None when the archive has none. Errors: `SealBroken`."""
    return None if session.links is None else keyring.open(session.links, _SEAL)


# ── the sending door


async def find_session(tx: Tx, ticket: Ticket, client: Client, now: int) -> Opened | None:
    """The session behind a ticket when it may go on and nothing has to be written: the address is known.

    None: hand `resume` to a transaction that writes. Errors: `LinkUnknown`, `SessionEnded`.
    """
    opened = await look(tx, ticket, now)
    if opened is None:
        return None
    facts = await entitlements.client_facts(tx, opened.order, client.addresses)
    return None if facts.is_new_address else opened


async def look(tx: Tx, ticket: Ticket, now: int) -> Opened | None:
    """The session behind a ticket for a client that takes nothing and counts nowhere (`HEAD`); None: it was stopped.

    Errors: `LinkUnknown`, `SessionEnded`.
    """
    session = await _known(tx, ticket)
    order = await entitlements.find_to_resume(tx, session.store_id, session.order_id, ticket.generation, is_held=False)
    opened = await _running(tx, order, session, now)
    return None if await _stop(tx, session) is not None else opened


async def resume(tx: Tx, ticket: Ticket, client: Client, now: int) -> Opened | Refused:
    """Go on with the session behind a ticket: a new address counts among the order's, a refusal is recorded.

    Release, expiry, payment and the limit of uses are not asked again. Errors: `LinkUnknown`, `SessionEnded`.
    """
    order_id = (await _known(tx, ticket)).order_id
    order = await entitlements.find_to_resume(tx, ticket.store_id, order_id, ticket.generation, is_held=True)
    session = await _known(tx, ticket)  # it may have ended while the order was waited for
    opened = await _running(tx, order, session, now)
    visit = await visit_of(tx, order, client, session.delivery, now)
    refusal = await _stop(tx, session)
    if refusal is None and visit.facts.is_new_address:
        limit = entitlements.order_facts(order).address_limit
        if limit is not None and visit.facts.addresses >= limit:
            refusal = Refusal.IP_LIMIT_REACHED
    if refusal is not None:
        subject = Subject(order.id, order.uid, opened.parts[0].grant_uid, opened.parts[0].asset_uid)
        decision = evidence.decision(subject, opened.parts[0].filename, refusal.value, visit.witness)
        await evidence.record(tx, order.store_id, [decision], now)
        return entitlements.refuse(order, refusal)
    if visit.facts.is_new_address:
        await entitlements.note_address(tx, order, client.addresses[0], now)
    return opened


async def _known(tx: Tx, ticket: Ticket) -> Session:
    session = await store.find_session(tx, ticket.store_id, ticket.row_id)
    if session is None or session.link_generation != ticket.generation:
        raise entitlements.LinkUnknown
    return session


async def _running(tx: Tx, order: OrderView, session: Session, now: int) -> Opened:
    [(_, parts)] = await settling.with_parts(tx, session.store_id, [session])
    if session.ended_at is not None or rules.is_due(session, parts, now):
        raise SessionEnded(order.id)
    return Opened(order=order, session=session, parts=parts, is_joined=True)


# ── stopping


async def list_stopped(tx: Tx, session_ids: Sequence[int], now: int) -> list[int]:
    """Which of these sessions, of whatever store, must not send another byte: stopped, ended, or gone."""
    going: dict[int, bool] = {}
    for watched in await store.list_watched(tx, session_ids):
        is_over = watched.ended_at is not None or now >= watched.ends_at
        is_going = not is_over and watched.link_generation == watched.order_generation and _refusal(watched) is None
        going[watched.session_id] = going.get(watched.session_id, True) and is_going
    return [session_id for session_id in session_ids if not going.get(session_id, False)]


async def _stop(tx: Tx, session: Session) -> Refusal | None:
    watched = await store.list_watched(tx, [session.id])
    return next((refusal for each in watched if (refusal := _refusal(each))), None)


def _refusal(watched: Watched) -> Refusal | None:
    order = OrderFacts(
        standing=watched.standing,
        is_blocked=watched.order_blocked_at is not None,
        are_links_stopped=watched.uninstalled_at is not None and not watched.settings.links_after_uninstall,
        risk_level=RiskLevel(watched.risk_rank),
        fraud_block=watched.settings.fraud_block,
    )
    grant = GrantFacts(
        used=0,
        is_blocked=watched.grant_blocked_at is not None or watched.revoked_at is not None,
        quantity=watched.quantity,
        remaining=watched.remaining,
    )
    return entitlements.stop(order, grant)


# ── the page


async def list_open(tx: Tx, store_id: int, order_id: int, addresses: Sequence[bytes], now: int) -> list[Joinable]:
    """The open sessions of an order that a client with this address may join for all they deliver."""
    found = await settling.with_parts(tx, store_id, await store.list_of_order(tx, store_id, order_id))
    return [
        Joinable(session.id, session.kind, tuple(part.grant_id for part in parts))
        for session, parts in found
        if session.address_digest in addresses and rules.is_joinable(session, parts, None, now)
    ]


async def find_begun(
    tx: Tx, order: OrderView, kind: SessionKind, grant_id: int | None, addresses: Sequence[bytes], now: int
) -> Opened | None:
    """The download that a client with this address has open: of a grant, or with None of anything in the order."""
    found = await settling.with_parts(tx, order.store_id, await store.list_of_order(tx, order.store_id, order.id))
    for session, parts in found:
        is_asked = session.kind is kind and (grant_id is None or any(part.grant_id == grant_id for part in parts))
        if is_asked and _is_of(session, addresses) and not rules.is_due(session, parts, now):
            return Opened(order=order, session=session, parts=parts, is_joined=True)
    return None


async def foresee(
    tx: Tx, order: OrderView, grants: Sequence[GrantView], addresses: Sequence[bytes], now: int
) -> list[GrantView]:
    """The grants with the uses that the deciding door would find for a client with this address; nothing is written.

    What is over has given its uses back, and at the limit so has what is idle, unless the client may go on with it.
    """
    held = await settling.with_parts(tx, order.store_id, await store.list_all_of_order(tx, order.store_id, order.id))
    if not held:
        return list(grants)
    over = [each for each in held if _is_over(order, each, now)]
    idle = [each for each in held if each not in over and rules.is_idle(each.session, now)]
    others = [each for each in idle if each.session.kind is SessionKind.ZIP or not _is_of(each.session, addresses)]
    others.sort(key=lambda each: each.session.active_at)
    accounts = await store.list_undelivered(tx, order.store_id, [grant.id for grant in grants])
    undelivered = {account.grant_id: account.undelivered_bytes for account in accounts}
    foreseen = []
    for judged in entitlements.judge(CustomerView(order, [], list(grants)), now):
        grant = judged.grant
        account = Account(grant.used, judged.limit, undelivered.get(grant.id, 0))
        used = rules.foresee(account, grant.id, over, others).used
        foreseen.append(msgspec.structs.replace(grant, used=used))
    return foreseen


def _is_over(order: OrderView, held: settling.Held, now: int) -> bool:
    return held.session.link_generation != order.link_generation or rules.is_due(*held, now)


def _is_of(session: Session, addresses: Sequence[bytes]) -> bool:
    return session.address_digest in addresses


async def forget(tx: Tx, store_id: int, order_ids: Sequence[int]) -> int:
    """Remove what the sessions of these orders (our keys) say of a person; they go on. How many sessions.

    Call it before `evidence.forget`: it waits for those who record what a session sent, and so for their events.
    """
    return await store.update_forgotten(tx, store_id, order_ids) if order_ids else 0
