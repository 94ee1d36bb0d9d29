"""How a session goes on and ends: what was sent is recorded, and each use is kept or given back."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from carryout.clock import DAY
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.evidence import service as evidence
from carryout.evidence.model import Event, EventType, Subject, Witness
from carryout.sessions import rules, store
from carryout.sessions.model import OrderNote, Outcome, Part, Progress, Recorded, Session
from carryout.sessions.store import list_due

__all__ = ["Held", "end", "list_due", "list_held_of_grant", "list_held_of_order", "prune", "record", "settle_order"]

_KEEP: Final = 30 * DAY
_BATCH: Final = 500


class Held(NamedTuple):
    """A session with its parts, by position."""

    session: Session
    parts: tuple[Part, ...]


async def list_held_of_grant(tx: Tx, store_id: int, grant_id: int) -> list[Held]:
    """The open sessions that a grant paid for, held until the transaction ends. Hold the order before."""
    return await with_parts(tx, store_id, await store.list_held_of_grant(tx, store_id, grant_id))


async def list_held_of_order(tx: Tx, store_id: int, order_id: int) -> list[Held]:
    """The open sessions of an order, held until the transaction ends. Hold the order before."""
    return await with_parts(tx, store_id, await store.list_held_of_order(tx, store_id, order_id))


async def with_parts(tx: Tx, store_id: int, found: Sequence[Session]) -> list[Held]:
    """Sessions with their parts."""
    parts = await store.list_parts(tx, store_id, [session.id for session in found])
    return [Held(session, tuple(part for part in parts if part.session_id == session.id)) for session in found]


# ── what was sent


async def record(tx: Tx, store_id: int, session_id: int, progress: Sequence[Progress], now: int) -> Recorded:
    """Add what was handed to the network, and say what all transfers of the session together have left.

    It ends a session whose time or budget is used up. What comes in after the end is charged all the same. Without
    progress it only asks. A part without bytes is delivered by an entry that says so.
    """
    session = await store.find_session_held(tx, store_id, session_id)
    if session is None:
        return Recorded((), is_ended=True)
    [(_, before)] = await with_parts(tx, store_id, [session])
    parts = tuple(rules.advance(part, progress, now) for part in before)
    advanced = [
        (part, part.sent_bytes - old.sent_bytes) for part, old in zip(parts, before, strict=True) if part != old
    ]
    await store.update_progress(tx, store_id, advanced)
    completed = [part for part, old in zip(parts, before, strict=True) if part.completed_at != old.completed_at]
    is_ending = session.ended_at is None and rules.is_due(session, parts, now)
    if session.ended_at is not None:
        await _charge_late(tx, store_id, advanced)
    elif advanced and not is_ending:
        await store.update_active(tx, store_id, session_id, now)
    if completed or is_ending:
        await _note(tx, Held(session, parts), completed, now, is_ending=is_ending)
    is_ended = session.ended_at is not None or is_ending
    return Recorded(tuple(rules.remaining_bytes(part) for part in parts), is_ended=is_ended)


async def _charge_late(tx: Tx, store_id: int, advanced: Sequence[tuple[Part, int]]) -> None:
    """What was under way while its session ended: the use is given back already, so it goes to the account alone."""
    for part, more_bytes in sorted(advanced, key=lambda each: each[0].grant_id):
        if part.outcome is Outcome.GIVEN_BACK and more_bytes:
            await entitlements.settle(
                tx, store_id, part.grant_id, uses=0, sent_bytes=more_bytes, size_bytes=part.size_bytes
            )


async def _note(tx: Tx, held: Held, completed: Sequence[Part], now: int, *, is_ending: bool) -> None:
    session = held.session
    order = await store.find_order_note(tx, session.store_id, session.order_id)
    if order is None:
        return
    events = [_event(EventType.DOWNLOAD_COMPLETED, order, session, part) for part in completed]
    if is_ending:
        events += await end(tx, order, held, now)
    await evidence.record(tx, session.store_id, events, now)


# ── the end


async def end(tx: Tx, order: OrderNote, held: Held, now: int, *, kept: Collection[int] = ()) -> list[Event]:
    """End a session and settle each of its parts; the events, to be recorded last.

    The uses at the positions `kept` are kept whatever was delivered.
    """
    session, parts = held
    if not await store.end_session(tx, session.store_id, session.id, now):
        return []
    is_measured = rules.is_measured(session)
    given_back = [
        part
        for part in sorted(parts, key=lambda part: part.grant_id)
        if part.position not in kept and rules.is_given_back(part, is_measured=is_measured)
    ]
    for part in given_back:
        await entitlements.settle(
            tx, session.store_id, part.grant_id, uses=1, sent_bytes=part.sent_bytes, size_bytes=part.size_bytes
        )
    outcomes = [(part, Outcome.GIVEN_BACK if part in given_back else Outcome.KEPT) for part in parts]
    await store.end_parts(tx, session.store_id, outcomes)
    return [
        _event(EventType.DOWNLOAD_INCOMPLETE, order, session, part, outcome)
        for part, outcome in outcomes
        if is_measured and not rules.is_whole(part)
    ]


def _event(kind: EventType, order: OrderNote, session: Session, part: Part, outcome: Outcome | None = None) -> Event:
    seen = None if order.redacted_at is not None else Witness(session.address_digest, session.user_agent)
    detail: dict[str, str | int | bool | None] = {
        "filename": part.filename,
        "size_bytes": part.size_bytes,
        "sent_bytes": part.sent_bytes,
    }
    if outcome is not None:
        detail["use"] = outcome.value
    return Event(kind, Subject(order.id, order.uid, part.grant_uid, part.asset_uid), detail, seen)


async def settle_order(tx: Tx, store_id: int, order_id: int, now: int) -> int:
    """End the sessions of an order whose time is over; how many."""
    order = await store.find_order_note(tx, store_id, order_id)
    if order is None or not await entitlements.hold_by_id(tx, store_id, order_id):
        return 0
    held = await list_held_of_order(tx, store_id, order_id)
    due = [each for each in held if rules.is_due(*each, now)]
    events = [event for each in due for event in await end(tx, order, each, now)]
    await evidence.record(tx, store_id, events, now)
    return len(due)


async def prune(tx: Tx, now: int) -> int:
    """Delete sessions that ended 30 days ago, one batch; how many."""
    return await store.delete_before(tx, now - _KEEP, _BATCH)
