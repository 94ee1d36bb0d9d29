"""SQL of those who asked to be forgotten, and of the person that an order still has."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from carryout.db import Query, Statement, Tx, among
from carryout.db.tables import orders, redactions
from carryout.orders.model import StoredPerson

_o = orders.c
_OURS: Final = _o.store_id == bindparam("store_id")


def _bound(*names: str) -> dict[str, object]:
    return {name: bindparam(name) for name in names}


_insert_redaction = insert(redactions).values(**_bound("store_id", "subject", "redacted_at"))
INSERT_REDACTION: Final = Statement(
    _insert_redaction.on_conflict_do_update(
        index_elements=["store_id", "subject"],
        set_={"redacted_at": _insert_redaction.excluded.redacted_at},
        where=_insert_redaction.excluded.redacted_at > redactions.c.redacted_at,
    )
)
REDACTED_AT: Final = Query(
    select(redactions.c.redacted_at)
    .where(redactions.c.store_id == bindparam("store_id"), among(redactions.c.subject, "subjects"))
    .order_by(redactions.c.redacted_at.desc())
    .limit(1),
    int,
)
# A person's wish covers what they had bought by then (`orders.service.record` says the same of later deliveries).
_IS_REDACTED = or_(
    among(_o.shopify_id, "shopify_ids"),
    and_(
        or_(among(_o.customer_digest, "customers"), among(_o.email_digest, "emails")),
        _o.ordered_at <= bindparam("now", type_=BigInteger),
    ),
)
REDACT: Final = Query(
    update(orders)
    .where(_OURS, _IS_REDACTED)
    .values(
        person=None,
        email_digest=None,
        customer_digest=None,
        redacted_at=func.coalesce(_o.redacted_at, bindparam("now", type_=BigInteger)),
    )
    .returning(_o.shopify_id),
    int,
)
IDS: Final = Query(select(_o.id).where(_OURS, among(_o.shopify_id, "shopify_ids")).order_by(_o.id), int)
PERSON: Final = Query(select(_o.person, _o.locale).where(_OURS, _o.id == bindparam("id")), StoredPerson)


async def insert_redactions(tx: Tx, store_id: int, subjects: Sequence[str], now: int) -> None:
    """Remember who asked to be forgotten."""
    await tx.many(
        INSERT_REDACTION, [{"store_id": store_id, "subject": subject, "redacted_at": now} for subject in subjects]
    )


async def find_redaction(tx: Tx, store_id: int, subjects: Sequence[str]) -> int | None:
    """When any of these subjects was last redacted, or None."""
    if not subjects:
        return None
    return await tx.one(REDACTED_AT, store_id=store_id, subjects=list(subjects))


async def update_redacted(
    tx: Tx, store_id: int, shopify_ids: Sequence[int], customers: Sequence[str], emails: Sequence[str], now: int
) -> list[int]:
    """Take the person out of every order that matches; the Shopify ids of those orders."""
    return await tx.all(
        REDACT,
        store_id=store_id,
        shopify_ids=list(shopify_ids),
        customers=list(customers),
        emails=list(emails),
        now=now,
    )


async def list_ids(tx: Tx, store_id: int, shopify_ids: Sequence[int]) -> list[int]:
    """Our own keys of the orders with these Shopify ids."""
    return await tx.all(IDS, store_id=store_id, shopify_ids=list(shopify_ids))


async def find_person(tx: Tx, store_id: int, order_id: int) -> StoredPerson | None:
    """The sealed person and the locale of an order."""
    return await tx.one(PERSON, store_id=store_id, id=order_id)
