"""What the merchant API remembers of each key: how many requests, and the calls that carry an `Idempotency-Key`."""

from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, and_, bindparam, case, delete, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from carryout.clock import DAY, MINUTE
from carryout.db import Query, Statement, Tx
from carryout.db.tables import api_calls, api_rates

KEEP_CALLS: Final = DAY

_r = api_rates.c
_c = api_calls.c
_BATCH: Final = 1000


class Rate(msgspec.Struct, frozen=True):
    """The current minute of a key: when it began, and its requests so far."""

    began_at: int
    requests: int


class RecordedCall(msgspec.Struct, frozen=True):
    """A call that was made: the digest of its request, and its sealed reply."""

    request_digest: bytes
    reply: bytes | None


def _bound(*columns: Any) -> dict[Any, Any]:
    return {column: bindparam(column.key) for column in columns}


_new_rate = insert(api_rates).values(_bound(_r.store_id, _r.key_id, _r.bucket, _r.began_at) | {_r.requests: 1})
# Also over when it begins a minute or more from now: the clock was set back.
_IS_OVER = or_(_r.began_at <= _new_rate.excluded.began_at - MINUTE, _r.began_at >= _new_rate.excluded.began_at + MINUTE)
_SPEND_REQUEST: Final = Query(
    _new_rate.on_conflict_do_update(
        index_elements=["key_id", "bucket"],
        set_={
            "requests": case((_IS_OVER, 1), else_=_r.requests + 1),
            "began_at": case((_IS_OVER, _new_rate.excluded.began_at), else_=_r.began_at),
        },
        where=or_(_IS_OVER, _r.requests < bindparam("limit", type_=BigInteger)),
    ).returning(_r.began_at, _r.requests),
    Rate,
)
_OUR_RATE = and_(
    _r.store_id == bindparam("store_id"), _r.key_id == bindparam("key_id"), _r.bucket == bindparam("bucket")
)
_FIND_RATE: Final = Query(select(_r.began_at, _r.requests).where(_OUR_RATE), Rate)

_new_call = insert(api_calls).values(_bound(_c.store_id, _c.key_id, _c.name_digest, _c.request_digest, _c.created_at))
_INSERT_CALL: Final = Query(
    _new_call.on_conflict_do_update(
        index_elements=["key_id", "name_digest"],
        set_={
            "request_digest": _new_call.excluded.request_digest,
            "created_at": _new_call.excluded.created_at,
            "reply": null(),
        },
        where=_c.created_at <= _new_call.excluded.created_at - KEEP_CALLS,
    ).returning(_c.id),
    int,
)
_OUR_NAME = and_(
    _c.store_id == bindparam("store_id"), _c.key_id == bindparam("key_id"), _c.name_digest == bindparam("name_digest")
)
_FIND_CALL: Final = Query(
    select(_c.request_digest, _c.reply).where(_OUR_NAME, _c.created_at > bindparam("since")), RecordedCall
)
_UPDATE_REPLY: Final = Statement(update(api_calls).where(_OUR_NAME).values(reply=bindparam("reply")))
_PRUNE: Final = Statement(
    delete(api_calls).where(
        _c.id.in_(select(_c.id).where(_c.created_at <= bindparam("before")).order_by(_c.created_at).limit(_BATCH))
    )
)


async def spend_request(tx: Tx, store_id: int, key_id: int, bucket: str, limit: int, now: int) -> Rate | None:
    """Count one request of a key; None, and not counted, when its minute holds `limit` already."""
    return await tx.one(_SPEND_REQUEST, store_id=store_id, key_id=key_id, bucket=bucket, limit=limit, began_at=now)


async def find_rate(tx: Tx, store_id: int, key_id: int, bucket: str) -> Rate | None:
    """The newest minute of a key, or None."""
    return await tx.one(_FIND_RATE, store_id=store_id, key_id=key_id, bucket=bucket)


async def insert_call(tx: Tx, store_id: int, key_id: int, name_digest: bytes, request_digest: bytes, now: int) -> bool:
    """Take the name of a call; False when it was taken in the last 24 hours. Who comes meanwhile waits for the end."""
    made = await tx.one(
        _INSERT_CALL,
        store_id=store_id,
        key_id=key_id,
        name_digest=name_digest,
        request_digest=request_digest,
        created_at=now,
    )
    return made is not None


async def find_call(tx: Tx, store_id: int, key_id: int, name_digest: bytes, now: int) -> RecordedCall | None:
    """The call of this name in the last 24 hours, or None."""
    return await tx.one(_FIND_CALL, store_id=store_id, key_id=key_id, name_digest=name_digest, since=now - KEEP_CALLS)


async def update_reply(tx: Tx, store_id: int, key_id: int, name_digest: bytes, reply: bytes) -> None:
    """Keep the sealed reply of a call."""
    await tx.run(_UPDATE_REPLY, store_id=store_id, key_id=key_id, name_digest=name_digest, reply=reply)


async def prune_calls(tx: Tx, now: int) -> int:
    """Delete calls older than 24 hours, one batch; how many."""
    return await tx.run(_PRUNE, before=now - KEEP_CALLS)
