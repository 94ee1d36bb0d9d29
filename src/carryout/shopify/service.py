"""Taking a delivery in: kept whole first, then applied, in one transaction. Applying a row again is the repair.

Facts are state, not events, so deliveries may come in any order and more than once. A shop that removed the app has it
again when an order, a refund or a product was triggered after the removal; nothing else says so.
"""

from collections.abc import Sequence
from typing import Final

from carryout.catalog import service as catalog
from carryout.clock import DAY, HOUR
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.errors import CarryoutError, Kind
from carryout.evidence import service as evidence
from carryout.jobs.queue import enqueue
from carryout.keyring import Keyring
from carryout.merchants import service as merchants
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.orders.model import OrderFacts
from carryout.sessions import service as sessions
from carryout.shopify import store
from carryout.shopify.model import (
    AppUninstalled,
    DataRequested,
    Delivery,
    Facts,
    Forgotten,
    InboxRow,
    OrderDeleted,
    OrderEdited,
    OrderRefunded,
    Outcome,
    Parked,
    ProductDeleted,
    ProductSeen,
    Redaction,
    RiskAssessed,
    ShopProfile,
    ShopRedacted,
    Subject,
    Translation,
    Unused,
)
from carryout.shopify.store import count_parked, list_due_parked

__all__ = [
    "NotJson",
    "count_parked",
    "forget_store",
    "forgotten",
    "list_deliveries",
    "list_due_parked",
    "open_body",
    "prune",
    "receive",
    "redact",
    "retry",
]

SEAL: Final = "inbox"
SCRUB: Final = "scrub"
DELETE_STORE_FILES: Final = "delete_store_files"

_KEEP_BODIES: Final = 30 * DAY
_KEEP_ROWS: Final = 90 * DAY
_BATCH: Final = 500
_REASON_CHARS: Final = 500
_PERSONAL_TABLES: Final = ("inbox", "orders", "redactions", "sessions", "events")
_STORE_TABLES: Final = (
    "inbox", "orders", "lines", "order_addresses", "products", "assets", "keys", "sessions", "session_parts", "events",
    "event_chains", "api_calls", "api_rates", "stores",
)  # fmt: skip
_DELETED: Final = "the order was deleted for good"
_ELSEWHERE: Final = "the body names another shop than the header"


class NotJson(CarryoutError):
    """The body of this webhook is not JSON."""

    kind = Kind.MALFORMED


class SignatureWrong(CarryoutError):
    """The signature or the shop of this webhook is missing or wrong."""

    kind = Kind.UNAUTHENTICATED


async def receive(
    tx: Tx, owner: Store, delivery: Delivery, said: Translation, sealed: bytes, keyring: Keyring
) -> Outcome:
    """Keep a delivery and apply it; a repeated one changes nothing. `sealed` is its body."""
    if isinstance(said.facts, ShopRedacted) and _is_from(owner, said):
        await forget_store(tx, owner, delivery.received_at)
        return Outcome.APPLIED
    outcome, reason = _judge(owner, said)
    values = _values(delivery, said.subject, keyring, outcome, reason)
    # A redaction's body is personal itself, and not needed once it is applied.
    is_kept = outcome is Outcome.PARKED or not isinstance(said.facts, Redaction)
    inbox_id = await store.insert_delivery(tx, owner.id, values | {"body": sealed if is_kept else None})
    if inbox_id is None:
        return Outcome.DUPLICATE
    return await _finish(tx, owner, delivery, said, inbox_id, keyring)


async def park(tx: Tx, owner: Store, delivery: Delivery, said: Translation, sealed: bytes, keyring: Keyring) -> Outcome:
    """Keep a delivery that an unknown error stopped. Errors: `SignatureWrong`, when its store is gone by now."""
    if await merchants.find_by_id(tx, owner.id) is None:
        raise SignatureWrong
    return await receive(tx, owner, delivery, said, sealed, keyring)


async def retry(
    tx: Tx, owner: Store, parked: Parked, delivery: Delivery, said: Translation, keyring: Keyring
) -> Outcome | None:
    """Try a parked delivery again; None when it waits no more."""
    if await store.lock_parked(tx, owner.id, parked.id) is None:
        return None
    if isinstance(said.facts, ShopRedacted) and _is_from(owner, said):
        await forget_store(tx, owner, delivery.received_at)
        return Outcome.APPLIED
    outcome, reason = _judge(owner, said)
    await store.update_outcome(tx, owner.id, parked.id, outcome, reason)
    return await _finish(tx, owner, delivery, said, parked.id, keyring)


def open_body(parked: Parked, keyring: Keyring) -> Delivery:
    """The delivery as it came in. Errors: `SealBroken`."""
    return Delivery(
        delivery_id=parked.delivery_id,
        topic=parked.topic,
        raw=keyring.open(parked.body, SEAL),
        triggered_at=parked.triggered_at,
        received_at=parked.received_at,
    )


async def list_deliveries(tx: Tx, store_id: int, before: int | None = None, limit: int = 100) -> list[InboxRow]:
    """A store's deliveries, the newest first; `before` is the id of the last one of the page before."""
    return await store.list_deliveries(tx, store_id, 2**63 - 1 if before is None else before, limit)


async def redact(tx: Tx, store_id: int, person: Forgotten, keyring: Keyring, now: int) -> None:
    """Forget a person in the orders and the inbox of a store, and on the disk soon after."""
    orders_digests = [keyring.digest("order", str(order_id)).hex() for order_id in person.order_ids]
    redacted = await orders.redact_subjects(
        tx, store_id, person.order_ids, orders_digests, person.customers, person.emails, now
    )
    order_ids = await orders.list_ids(tx, store_id, redacted)
    # Whoever records what a session sends is waited for here, and then their events are there to be forgotten.
    await sessions.forget(tx, store_id, order_ids)
    await evidence.forget(tx, store_id, order_ids)
    await store.update_forgotten_person(
        tx,
        store_id,
        [*person.order_ids, *redacted],
        [bytes.fromhex(digest) for digest in person.customers],
        [bytes.fromhex(digest) for digest in person.emails],
    )
    await _enqueue_scrub(tx, _PERSONAL_TABLES, now)


async def forget_store(tx: Tx, owner: Store, now: int) -> None:
    """Remove everything of a store: its rows here, its files by a job."""
    await merchants.delete_store(tx, owner.id)
    # Not the store's own job: that would go with it.
    await enqueue(tx, DELETE_STORE_FILES, {"store_uid": owner.uid}, run_at=now)
    await _enqueue_scrub(tx, _STORE_TABLES, now)


async def prune(tx: Tx, now: int) -> int:
    """Empty what is older than 30 days and delete what is older than 90, one batch; how many rows."""
    emptied = await store.prune_bodies(tx, now - _KEEP_BODIES, _BATCH)
    return emptied + await store.delete_before(tx, now - _KEEP_ROWS, _BATCH)


def forgotten(redaction: Redaction, keyring: Keyring) -> Forgotten:
    """Who is to be forgotten, told by keyed digests (in hex, under every key)."""
    customers, emails = _digests(keyring, redaction.customer_id, redaction.email)
    return Forgotten(redaction.order_ids, tuple(customers), tuple(emails))


def _digests(keyring: Keyring, customer_id: int | None, email: str | None) -> tuple[list[str], list[str]]:
    customers = [] if customer_id is None else keyring.digests("customer", str(customer_id))
    emails = keyring.digests("email", email.strip().lower()) if email else []
    return [digest.hex() for digest in customers], [digest.hex() for digest in emails]


def _judge(owner: Store, said: Translation) -> tuple[Outcome, str | None]:
    reason = "; ".join(said.surprises)[:_REASON_CHARS] or None
    if isinstance(said.facts, Redaction | ShopRedacted) and not _is_from(owner, said):
        return Outcome.PARKED, _ELSEWHERE
    if said.facts is None:
        return Outcome.PARKED, reason or "it says nothing that can be applied"
    return (Outcome.IGNORED, None) if isinstance(said.facts, Unused) else (Outcome.APPLIED, reason)


def _is_from(owner: Store, said: Translation) -> bool:
    """Headers are not signed, so what removes things must not contradict the body, which is."""
    return said.shop_domain is None or said.shop_domain == owner.domain


def _values(
    delivery: Delivery, subject: Subject, keyring: Keyring, outcome: Outcome, reason: str | None
) -> dict[str, object]:
    customer, email = subject.customer_id, subject.email
    return {
        "delivery_id": delivery.delivery_id,
        "event_id": delivery.event_id,
        "topic": delivery.topic,
        "api_version": delivery.api_version,
        "triggered_at": delivery.triggered_at,
        "received_at": delivery.received_at,
        "order_shopify_id": subject.order_id,
        "customer_digest": keyring.digest("customer", str(customer)) if customer is not None else None,
        "email_digest": keyring.digest("email", email.strip().lower()) if email else None,
        "outcome": outcome.value,
        "reason": reason,
    }


async def _finish(
    tx: Tx, owner: Store, delivery: Delivery, said: Translation, inbox_id: int, keyring: Keyring
) -> Outcome:
    """Apply what was kept, and forget its person again where they were redacted."""
    outcome, _ = _judge(owner, said)
    is_redacted = outcome is Outcome.APPLIED and isinstance(said.facts, Redaction)
    if outcome is Outcome.APPLIED and isinstance(said.facts, OrderFacts):
        outcome, is_redacted = await _record(tx, owner, delivery, said.facts, keyring)
        if outcome is not Outcome.APPLIED:
            await store.update_outcome(tx, owner.id, inbox_id, outcome, _DELETED)
    elif outcome is Outcome.APPLIED and said.facts is not None:
        await _apply(tx, owner, delivery, said.facts, keyring)
    is_recorded = isinstance(said.facts, OrderFacts) and outcome is Outcome.APPLIED
    if is_redacted or (not is_recorded and await _is_redacted(tx, owner.id, said.subject, keyring)):
        await store.update_forgotten(tx, owner.id, inbox_id)
        return Outcome.IGNORED if outcome is Outcome.PARKED else outcome
    return outcome


async def _is_redacted(tx: Tx, store_id: int, subject: Subject, keyring: Keyring) -> bool:
    if subject == Subject():
        return False
    customers, emails = _digests(keyring, subject.customer_id, subject.email)
    own = keyring.digests("order", str(subject.order_id)) if subject.order_id is not None else []
    # A redaction that runs beside this either is seen here, or sees the row that was kept.
    await tx.lock(f"delivery {store_id} {subject.order_id}", beside=f"redaction {store_id}")
    subjects = [*(digest.hex() for digest in own), *customers, *emails]
    return await store.find_redaction(tx, store_id, subject.order_id, subjects) is not None


async def _record(
    tx: Tx, owner: Store, delivery: Delivery, facts: OrderFacts, keyring: Keyring
) -> tuple[Outcome, bool]:
    await _note_installed(tx, owner, delivery)
    recorded = await orders.record(tx, owner, facts, keyring, delivery.received_at)
    if recorded is None:
        return Outcome.IGNORED, False
    await entitlements.regrant(tx, owner, recorded.id, delivery.received_at)
    return Outcome.APPLIED, recorded.is_redacted


async def _apply(tx: Tx, owner: Store, delivery: Delivery, facts: Facts, keyring: Keyring) -> None:  # noqa: C901 - one arm a kind of fact
    now = delivery.received_at
    match facts:
        case OrderRefunded():
            await _note_installed(tx, owner, delivery)
            order = await orders.record_refunds(tx, owner.id, facts.order_id, facts.refunds, now)
            if order is not None:
                await entitlements.regrant(tx, owner, order.id, now)
        case OrderEdited():
            await orders.mark_for_refresh(tx, owner.id, facts.order_id, delivery.triggered_at or now)
        case OrderDeleted():
            await orders.delete(tx, owner.id, facts.order_id, now)
        case RiskAssessed():
            await orders.record_risk(tx, owner.id, facts.order_id, facts.provider, facts.level, facts.assessed_at)
        case ProductSeen():
            await _note_installed(tx, owner, delivery)
            await catalog.record_products(tx, owner.id, facts.variants)
        case ProductDeleted():
            await catalog.delete_product(tx, owner.id, facts.product_id, now)
        case Redaction():
            await redact(tx, owner.id, forgotten(facts, keyring), keyring, now)
        case AppUninstalled():
            await _uninstall(tx, owner, delivery)
        case ShopProfile():
            await merchants.update_profile(tx, owner.id, facts.name)
        case DataRequested() | ShopRedacted() | Unused() | OrderFacts():
            pass  # the merchant answers the first; the others are not applied here


async def _note_installed(tx: Tx, owner: Store, delivery: Delivery) -> None:
    if owner.uninstalled_at is not None and delivery.triggered_at > owner.uninstalled_at:
        await merchants.mark_installed(tx, owner.id)


async def _uninstall(tx: Tx, owner: Store, delivery: Delivery) -> None:
    at = delivery.triggered_at or delivery.received_at
    if await store.find_later_work(tx, owner.id, at - HOUR, at) is None:
        await merchants.mark_uninstalled(tx, owner.id, at)


async def _enqueue_scrub(tx: Tx, tables: Sequence[str], now: int) -> None:
    await enqueue(tx, SCRUB, {"tables": list(tables)}, run_at=now, dedupe_key=f"{SCRUB} {' '.join(tables)}")
