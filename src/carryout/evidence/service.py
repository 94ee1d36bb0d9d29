"""Recording what happened, chaining it, and finding whether the record was changed since.

An event is inserted in the transaction that decides it; a job chains it soon after, each event to the one before it in
its store, under a key derived from the secret key. Who can write to the database, but has no key, can change nothing
that is chained without `verify` finding it. It cannot see that all of it was put back to an older state: for that, the
head that `verify` answers is to be noted elsewhere.
"""

import os
from collections.abc import Sequence
from typing import Final

import msgspec

from carryout.clock import DAY, SECOND
from carryout.db import Tx
from carryout.errors import CarryoutError, Kind
from carryout.evidence import rules, store
from carryout.evidence.model import (
    Break,
    Chain,
    Event,
    EventRow,
    EventType,
    EventView,
    EvidenceRow,
    Subject,
    Verified,
    Witness,
)
from carryout.evidence.store import list_due_chains
from carryout.identifiers import new_uid
from carryout.jobs.queue import enqueue
from carryout.keyring import Keyring

__all__ = [
    "CHAIN_EVENTS",
    "RecordChanged",
    "chain",
    "decision",
    "forget",
    "list_due_chains",
    "list_events",
    "list_of_order",
    "open_user_agent",
    "prune",
    "record",
    "record_decision",
    "verify",
    "where",
    "witness",
]

CHAIN_EVENTS: Final = "chain_events"
_SEAL: Final = "user agent"
_EVENT: Final = "event"
_CHAIN: Final = "event chain"
_SALT_BYTES: Final = 16
_BATCH: Final = 500
_PAGE: Final = 1000
_BEFORE_ALL: Final = -(2**63)
# Events wait so long to be chained together.
_PATIENCE: Final = SECOND


class RecordChanged(CarryoutError):
    """The evidence of {store} was changed: {where} {reason}."""

    kind = Kind.CONFLICT


# ── recording


def witness(keyring: Keyring, address_digest: bytes | None, agent: str | None) -> Witness:
    """Who is at a door; make it before the transaction begins. `address_digest` is keyed already."""
    kept = rules.user_agent(agent) if agent else ""
    return Witness(address_digest, keyring.seal(kept.encode(errors="replace"), _SEAL) if kept else None)


async def record_decision(
    tx: Tx,
    store_id: int,
    subject: Subject,
    filename: str,
    refusal: str | None,
    witnessed: Witness | None,
    now: int,
    *,
    used: int | None = None,
) -> None:
    """Record what a door decided: `refusal` is its code, or None where the use numbered `used` was spent.

    Of a redacted order pass no witness. A refusal must be returned, not raised, for the record to stay.
    """
    event = decision(subject, filename, refusal, witnessed, used=used)
    await record(tx, store_id, [event], now)


def decision(
    subject: Subject, filename: str, refusal: str | None, witnessed: Witness | None, *, used: int | None = None
) -> Event:
    """What a door decided, to be recorded: as `record_decision` says."""
    if refusal is None:
        return Event(EventType.DOWNLOAD_ALLOWED, subject, {"filename": filename, "used": used}, witnessed)
    return Event(EventType.DOWNLOAD_REFUSED, subject, {"filename": filename, "code": refusal}, witnessed)


async def record(tx: Tx, store_id: int, events: Sequence[Event], now: int) -> None:
    """Record events in the transaction that they are of; a job chains them.

    Call it last: the first who queues the job has the others of the store wait for its commit (on PostgreSQL).
    """
    if events:
        await store.lock_recording(tx, store_id)
        await store.insert_events(tx, store_id, [_values(event, now) for event in events])
        await _enqueue(tx, store_id, now)


def _values(event: Event, now: int) -> dict[str, object]:
    witnessed = event.witness or Witness()
    # One salt an event: forgetting one order gives no hold on another's.
    salt = None if witnessed == Witness() else os.urandom(_SALT_BYTES)
    return {
        "uid": new_uid(),
        **msgspec.structs.asdict(event.subject),
        "type": event.type.value,
        "created_at": now,
        "detail": msgspec.json.encode(event.detail).decode(),
        **msgspec.structs.asdict(witnessed),
        "salt": salt,
        "person_digest": None if salt is None else rules.person_digest(salt, witnessed),
    }


async def _enqueue(tx: Tx, store_id: int, now: int) -> None:
    key = f"{CHAIN_EVENTS} {store_id}"
    await enqueue(tx, CHAIN_EVENTS, {}, store_id=store_id, run_at=now + _PATIENCE, dedupe_key=key)


# ── chaining


async def chain(tx: Tx, store_id: int, keyring: Keyring, now: int) -> bool:
    """Chain the next batch of a store's events, in the order of their ids; whether there is more to chain at once.

    What running transactions may still add is left to the next job. Errors: `RecordChanged`: to go on from a chain that
    is not as we wrote it would cover that up.
    """
    ours = await _held_chain(tx, store_id, keyring)
    settled = await store.find_settled(tx, store_id)
    waiting = await store.list_unchained(tx, store_id, ours.head_event_id, settled.up_to, _BATCH)
    if waiting:
        chained = _chained(waiting, ours.head_mac, keyring, now)
        await store.update_chained(tx, store_id, chained)
        last = chained[-1]
        ours = msgspec.structs.replace(
            ours, head_event_id=last.id, head_mac=last.mac, length=ours.length + len(chained)
        )
        await _keep_chain(tx, store_id, ours, keyring)
    if len(waiting) == _BATCH:
        return True
    if settled.is_awaited or await store.count_unchained(tx, store_id, ours.head_event_id):
        await _enqueue(tx, store_id, now)
    return False


def _chained(waiting: Sequence[EventRow], previous_mac: bytes, keyring: Keyring, now: int) -> list[EventRow]:
    chained = []
    for row in waiting:
        dated = msgspec.structs.replace(row, chained_at=now)
        previous_mac = keyring.authenticate(_EVENT, rules.message(previous_mac, dated))
        chained.append(msgspec.structs.replace(dated, mac=previous_mac, key_id=keyring.first.key_id))
    return chained


async def _held_chain(tx: Tx, store_id: int, keyring: Keyring) -> Chain:
    """The store's chain, held until the transaction ends. Errors: `RecordChanged`."""
    await tx.lock(f"event chain {store_id}")
    found = await _find_chain(tx, store_id, keyring)
    if isinstance(found, Break):
        raise RecordChanged(store=f"store {store_id}", where=where(found), reason=found.reason)
    return found


async def _find_chain(tx: Tx, store_id: int, keyring: Keyring) -> Chain | Break:
    kept = await store.find_chain(tx, store_id)
    if kept is None:
        return rules.start(store_id)
    if keyring.is_authentic(_CHAIN, rules.chain_message(kept.chain), kept.mac, kept.key_id):
        return kept.chain
    return Break(None, None, None, "is not as it was written, or its secret key is missing")


async def _keep_chain(tx: Tx, store_id: int, ours: Chain, keyring: Keyring) -> None:
    mac = keyring.authenticate(_CHAIN, rules.chain_message(ours))
    await store.upsert_chain(tx, store_id, ours, keyring.first.key_id, mac)


async def prune(tx: Tx, store_id: int, keep_days: int, keyring: Keyring, now: int) -> bool:
    """Delete the oldest chained events of a store while they are older than `keep_days`, one batch; whether to go on.

    The last of them stays as the anchor, so that a cut head is still found. Errors: `RecordChanged`.
    """
    ours = await _held_chain(tx, store_id, keyring)
    oldest = await store.list_rows(tx, store_id, ours.anchor_event_id, ours.head_event_id, _BATCH)
    last = None
    for row in oldest:
        if row.mac is None or row.created_at >= now - keep_days * DAY or row.id > ours.head_event_id:
            break
        last = row
    if last is None or last.mac is None:
        return False
    count = await store.delete_events(tx, store_id, ours.anchor_event_id, last.id)
    pruned = msgspec.structs.replace(ours, anchor_event_id=last.id, anchor_mac=last.mac, length=ours.length - count)
    await _keep_chain(tx, store_id, pruned, keyring)
    return count == _BATCH


# ── verifying


async def verify(tx: Tx, store_id: int, keyring: Keyring) -> Verified:
    """Whether the record of a store is as it was written, and if not, where it first is not. Long: use `sweep`."""
    found = await _find_chain(tx, store_id, keyring)
    if isinstance(found, Break):
        return Verified(0, await store.count_unchained(tx, store_id, 0), "", found)
    broken = await _find_break(tx, store_id, found, keyring)
    unchained = await store.count_unchained(tx, store_id, found.head_event_id)
    return Verified(found.length, unchained, found.head_mac.hex(), broken)


async def _find_break(tx: Tx, store_id: int, ours: Chain, keyring: Keyring) -> Break | None:
    after, previous_mac, count = _BEFORE_ALL, ours.anchor_mac, 0
    while rows := await store.list_rows(tx, store_id, after, ours.head_event_id, _PAGE):
        for row in rows:
            if reason := _fault(row, ours, previous_mac, keyring):
                return Break(row.id, row.uid, row.created_at, reason)
            previous_mac = row.mac or b""
        count += len(rows)
        after = rows[-1].id
    if previous_mac != ours.head_mac or count != ours.length:
        return Break(ours.head_event_id, None, None, "is missing: the end of the record was cut off")
    return None


def _fault(row: EventRow, ours: Chain, previous_mac: bytes, keyring: Keyring) -> str | None:
    if row.id <= ours.anchor_event_id or row.id > ours.head_event_id or row.mac is None:
        return "was put in afterwards"
    if not keyring.is_authentic(_EVENT, rules.message(previous_mac, row), row.mac, row.key_id):
        return "or what stood before it was changed, removed or moved, or its secret key is missing"
    return None if rules.is_person_intact(row) else "has other personal data than was written"


def where(broken: Break) -> str:
    """The broken place in words."""
    if broken.event_id is None:
        return "the row that holds its head"
    return f"event {broken.event_id}" + (f" ({broken.event_uid})" if broken.event_uid else "")


# ── reading and forgetting


async def list_events(tx: Tx, store_id: int, after: int, limit: int) -> tuple[list[EventView], int]:
    """The events after a cursor, oldest first, and the next cursor.

    It shows what is chained, which is all there ever will be up to there: a cursor moves past no event unseen.
    """
    found = await store.list_feed(tx, store_id, after, limit)
    return found, found[-1].id if found else after


async def list_of_order(tx: Tx, store_id: int, order_id: int) -> list[EvidenceRow]:
    """Everything recorded of an order, oldest first, also what is not chained yet. Long: use `sweep`."""
    found: list[EvidenceRow] = []
    while page := await store.list_of_order(tx, store_id, order_id, found[-1].id if found else 0, _PAGE):
        found.extend(page)
    return found


def open_user_agent(row: EvidenceRow, keyring: Keyring) -> str | None:
    """The user agent, or None where none was sent or it was redacted. Errors: `SealBroken`."""
    return None if row.user_agent is None else keyring.open(row.user_agent, _SEAL).decode()


async def forget(tx: Tx, store_id: int, order_ids: Sequence[int]) -> int:
    """Remove what the events of these orders (our keys) say of a person; the chain still holds. How many events."""
    return await store.update_forgotten(tx, store_id, order_ids) if order_ids else 0
