"""Sessions and their parts in the database.

Whoever opens or settles holds the order's row first (`entitlements.service.hold`), then the rows of the sessions by id,
then writes to grants; whoever records what was sent holds the one session. A session ends by one conditional statement.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, func, insert, null, select, update

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import grants, lines, orders, session_parts, sessions, stores
from carryout.sessions.model import DueOrder, OrderNote, Outcome, Part, Session, Undelivered, Watched

_s, _p, _o, _g, _l, _st = sessions.c, session_parts.c, orders.c, grants.c, lines.c, stores.c
_OURS: Final = _s.store_id == bindparam("store_id")
_OUR_PARTS: Final = _p.store_id == bindparam("store_id")
_IS_OPEN: Final = _s.ended_at.is_(None)
_SESSION: Final = select(*(_s[name] for name in Session.__struct_fields__))
_PART: Final = select(*(_p[name] for name in Part.__struct_fields__))
_NEW: Final = tuple(name for name in Session.__struct_fields__ if name not in {"id", "ended_at"})

FIND: Final = Query(_SESSION.where(_OURS, _s.id == bindparam("id")), Session)
FIND_HELD: Final = Query(_SESSION.where(_OURS, _s.id == bindparam("id")).with_for_update(), Session)
PARTS: Final = Query(
    _PART.where(_OUR_PARTS, among(_p.session_id, "ids")).order_by(_p.session_id, _p.position),
    Part,
)
_of_grant = select(_p.session_id).where(_OUR_PARTS, _p.grant_id == bindparam("grant_id"), _p.outcome.is_(None))
HELD_OF_GRANT: Final = Query(
    _SESSION.where(_OURS, _IS_OPEN, _s.id.in_(_of_grant)).order_by(_s.id).with_for_update(), Session
)
_OF_ORDER: Final = _SESSION.where(_OURS, _s.order_id == bindparam("order_id"), _IS_OPEN).order_by(_s.id)
_generation = select(_o.link_generation).where(_o.id == _s.order_id).correlate(sessions).scalar_subquery()
OF_ORDER: Final = Query(_OF_ORDER.where(_s.link_generation == _generation), Session)
ALL_OF_ORDER: Final = Query(_OF_ORDER, Session)
HELD_OF_ORDER: Final = Query(_OF_ORDER.with_for_update(), Session)
UNDELIVERED: Final = Query(
    select(_g.id.label("grant_id"), _g.undelivered_bytes).where(
        _g.store_id == bindparam("store_id"), among(_g.id, "ids"), _g.undelivered_bytes > 0
    ),
    Undelivered,
)
ORDER_NOTE: Final = Query(
    select(*(_o[name] for name in OrderNote.__struct_fields__)).where(
        _o.store_id == bindparam("store_id"), _o.id == bindparam("id")
    ),
    OrderNote,
)

INSERT: Final = Query(insert(sessions).values({name: bindparam(name) for name in _NEW}).returning(_s.id), int)
INSERT_PART: Final = Statement(
    insert(session_parts).values(
        {name: bindparam(name) for name in Part.__struct_fields__} | {"store_id": bindparam("store_id")}
    )
)
TOUCH: Final = Statement(
    update(sessions).where(_OURS, _s.id == bindparam("at_id"), _IS_OPEN).values(active_at=bindparam("now"))
)
ADVANCE: Final = Statement(
    update(session_parts)
    .where(_OUR_PARTS, _p.session_id == bindparam("at_session"), _p.position == bindparam("at_position"))
    .values(
        sent_bytes=_p.sent_bytes + bindparam("more_bytes", type_=BigInteger),
        delivered=bindparam("delivered"),
        completed_at=func.coalesce(_p.completed_at, bindparam("completed_at", type_=BigInteger)),
    )
)
END: Final = Query(
    update(sessions)
    .where(_OURS, _s.id == bindparam("at_id"), _IS_OPEN)
    # Who opened it was needed to join it; its events remember.
    .values(ended_at=bindparam("now"), address_digest=null(), user_agent=null(), links=null())
    .returning(_s.id),
    int,
)
END_PART: Final = Statement(
    update(session_parts)
    .where(
        _OUR_PARTS,
        _p.session_id == bindparam("at_session"),
        _p.position == bindparam("at_position"),
        _p.outcome.is_(None),
    )
    .values(outcome=bindparam("outcome"))
)
FORGET: Final = Statement(
    update(sessions).where(_OURS, among(_s.order_id, "order_ids")).values(address_digest=null(), user_agent=null())
)

_WATCHED: Final[dict[str, Any]] = {
    "session_id": _s.id.label("session_id"),
    "order_generation": _o.link_generation.label("order_generation"),
    "standing": _o.standing,
    "risk_rank": _o.risk_rank,
    "order_blocked_at": _o.blocked_at.label("order_blocked_at"),
    "settings": _st.settings,
    "uninstalled_at": _st.uninstalled_at,
    "grant_blocked_at": _g.blocked_at.label("grant_blocked_at"),
    "revoked_at": _g.revoked_at,
    "quantity": _l.quantity,
    "remaining": _l.remaining,
}
WATCHED: Final = Query(
    select(*(_WATCHED[name] if name in _WATCHED else _s[name] for name in Watched.__struct_fields__))
    .join_from(sessions, session_parts, _p.session_id == _s.id)
    .join(orders, _o.id == _s.order_id)
    .join(stores, _st.id == _s.store_id)
    .join(grants, _g.id == _p.grant_id)
    .join(lines, _l.id == _g.line_id, isouter=True)
    .where(among(_s.id, "ids")),
    Watched,
)
PINNED: Final = Query(
    select(_p.sha256)
    .join_from(sessions, session_parts, _p.session_id == _s.id)
    .where(_s.store_id == bindparam("store_id"), _IS_OPEN, _p.sha256.between(bindparam("first"), bindparam("last")))
    .distinct(),
    bytes,
)
DUE: Final = Query(
    select(_s.store_id, _s.order_id)
    .where(_IS_OPEN, _s.ends_at <= bindparam("now"))
    .order_by(_s.ends_at, _s.id)
    .limit(bindparam("limit")),
    DueOrder,
)
_old = select(_s.id).where(_s.ended_at < bindparam("before")).order_by(_s.ended_at, _s.id).limit(bindparam("limit"))
DELETE_BEFORE: Final = Statement(delete(sessions).where(_s.id.in_(_old)))


async def find_session(tx: Tx, store_id: int, session_id: int) -> Session | None:
    """A session, ended or not."""
    return await tx.one(FIND, store_id=store_id, id=session_id)


async def find_session_held(tx: Tx, store_id: int, session_id: int) -> Session | None:
    """A session, its row locked until the transaction ends."""
    return await tx.one(FIND_HELD, store_id=store_id, id=session_id)


async def list_parts(tx: Tx, store_id: int, session_ids: Sequence[int]) -> list[Part]:
    """The parts of these sessions, by session and position."""
    return await tx.all(PARTS, store_id=store_id, ids=list(session_ids)) if session_ids else []


async def list_held_of_grant(tx: Tx, store_id: int, grant_id: int) -> list[Session]:
    """The open sessions that a grant paid for, by id, their rows locked until the transaction ends."""
    return await tx.all(HELD_OF_GRANT, store_id=store_id, grant_id=grant_id)


async def list_held_of_order(tx: Tx, store_id: int, order_id: int) -> list[Session]:
    """The open sessions of an order, by id, their rows locked until the transaction ends."""
    return await tx.all(HELD_OF_ORDER, store_id=store_id, order_id=order_id)


async def list_of_order(tx: Tx, store_id: int, order_id: int) -> list[Session]:
    """The open sessions of an order that its links of now lead to, by id."""
    return await tx.all(OF_ORDER, store_id=store_id, order_id=order_id)


async def list_all_of_order(tx: Tx, store_id: int, order_id: int) -> list[Session]:
    """The open sessions of an order, whatever links led to them, by id."""
    return await tx.all(ALL_OF_ORDER, store_id=store_id, order_id=order_id)


async def list_undelivered(tx: Tx, store_id: int, grant_ids: Sequence[int]) -> list[Undelivered]:
    """What the accounts of these grants hold; none for an empty one."""
    return await tx.all(UNDELIVERED, store_id=store_id, ids=list(grant_ids))


async def find_order_note(tx: Tx, store_id: int, order_id: int) -> OrderNote | None:
    """How the evidence names an order, and whether its person was redacted."""
    return await tx.one(ORDER_NOTE, store_id=store_id, id=order_id)


async def insert_session(tx: Tx, store_id: int, session: Session, parts: Sequence[Part]) -> int:
    """Insert a session and its parts; its id. The ids in the structs do not count."""
    session_id = await tx.one(INSERT, **(_values(session) | {"store_id": store_id}))
    assert session_id is not None  # noqa: S101 - an INSERT without ON CONFLICT returns its row
    await tx.many(INSERT_PART, [_values(part) | {"session_id": session_id, "store_id": store_id} for part in parts])
    return session_id


def _values(row: Session | Part) -> dict[str, Any]:
    values = msgspec.structs.asdict(row)
    if isinstance(row, Session):
        return values | {"kind": row.kind.value, "delivery": row.delivery.value}
    outcome = None if row.outcome is None else row.outcome.value
    return values | {"delivered": _json(row), "outcome": outcome}


def _json(part: Part) -> str:
    return msgspec.json.encode(part.delivered).decode()


async def update_active(tx: Tx, store_id: int, session_id: int, now: int) -> None:
    """Note that an open session is in use."""
    await tx.run(TOUCH, store_id=store_id, at_id=session_id, now=now)


async def update_progress(tx: Tx, store_id: int, advanced: Sequence[tuple[Part, int]]) -> None:
    """Write what parts have delivered now, each with the bytes that came to those sent. Hold their session."""
    await tx.many(
        ADVANCE,
        [
            {
                "store_id": store_id,
                "at_session": part.session_id,
                "at_position": part.position,
                "more_bytes": more_bytes,
                "delivered": _json(part),
                "completed_at": part.completed_at,
            }
            for part, more_bytes in advanced
        ],
    )


async def end_session(tx: Tx, store_id: int, session_id: int, now: int) -> bool:
    """End a session; False when it has ended before."""
    return await tx.one(END, store_id=store_id, at_id=session_id, now=now) is not None


async def end_parts(tx: Tx, store_id: int, outcomes: Sequence[tuple[Part, Outcome]]) -> None:
    """Write what became of the uses of an ended session's parts."""
    await tx.many(
        END_PART,
        [
            {
                "store_id": store_id,
                "at_session": part.session_id,
                "at_position": part.position,
                "outcome": outcome.value,
            }
            for part, outcome in outcomes
        ],
    )


async def update_forgotten(tx: Tx, store_id: int, order_ids: Sequence[int]) -> int:
    """Empty what the sessions of these orders say of a person; how many."""
    return await tx.run(FORGET, store_id=store_id, order_ids=list(order_ids))


async def list_watched(tx: Tx, session_ids: Sequence[int]) -> list[Watched]:
    """What decides whether these sessions may go on; none for those that are gone."""
    return await tx.all(WATCHED, ids=list(session_ids)) if session_ids else []


async def list_pinned(tx: Tx, store_id: int, first: bytes, last: bytes) -> list[bytes]:
    """The digests, from the first to the last, of the files that open sessions are delivering."""
    return await tx.all(PINNED, store_id=store_id, first=first, last=last)


async def list_due(tx: Tx, now: int, limit: int) -> list[DueOrder]:
    """Orders with sessions whose time is over, an order once for each."""
    return await tx.all(DUE, now=now, limit=limit)


async def delete_before(tx: Tx, before: int, limit: int) -> int:
    """Delete the sessions that ended before this time, the oldest of them; how many."""
    return await tx.run(DELETE_BEFORE, before=before, limit=limit)
