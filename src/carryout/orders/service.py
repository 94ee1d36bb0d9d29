"""Orders: recording what shops say of them, and what a merchant does to them.

Every function is idempotent and leaves the same state in whatever order deliveries come: facts follow the newest stamp,
refunds and assessments are sets, and what is left of a line is derived from them by one statement.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from carryout.catalog import service as catalog
from carryout.catalog.model import ProductFacts
from carryout.db import Tx
from carryout.errors import CarryoutError, Kind
from carryout.identifiers import is_uid, new_uid
from carryout.keyring import Keyring
from carryout.merchants.model import RiskLevel, Store
from carryout.orders import store
from carryout.orders.model import Line, LineFacts, Order, OrderFacts, Person, RecordedOrder, RefundFacts

_INT64: Final = 2**63
PERSON_SEAL: Final = "person"


class OrderUnknown(CarryoutError):
    """There is no order {order} in this store."""

    kind = Kind.NOT_FOUND


class OrderAmbiguous(CarryoutError):
    """More than one order of this store is {order}. Name it by its id."""

    kind = Kind.CONFLICT


def token_digest(token: bytes) -> bytes:
    """What is kept of an order-status token: the SHA-256 of its bytes, compared as they are."""
    return hashlib.sha256(token).digest()


async def record(tx: Tx, owner: Store, facts: OrderFacts, keyring: Keyring, now: int) -> RecordedOrder | None:
    """Take in what a payload says of an order; None when the order was deleted for good.

    A redacted order keeps working, and its person stays away whatever the payload says.
    """
    await _hold(tx, owner.id, facts.shopify_id)
    if await store.find_tombstone(tx, owner.id, facts.shopify_id) is not None:
        return None
    redacted_at = await _find_redaction(tx, owner.id, facts, keyring)
    values = _order_values(owner, facts, keyring, redacted_at) | {"created_at": now}
    order, is_newest = await store.upsert_order(tx, owner.id, values)
    await store.upsert_lines(tx, owner.id, [_line_values(order.id, facts, line) for line in facts.lines or ()])
    await catalog.note_variants(tx, owner.id, _variants(facts))
    await store.upsert_refunds(tx, owner.id, [_refund_values(facts.shopify_id, refund) for refund in facts.refunds])
    await store.update_remaining(tx, owner.id, facts.shopify_id)
    await store.update_risk(tx, owner.id, facts.shopify_id)
    return RecordedOrder(order.id, is_newest, order.redacted_at is not None)


async def record_refunds(
    tx: Tx, store_id: int, shopify_id: int, refunds: Sequence[RefundFacts], now: int
) -> Order | None:
    """Merge refunds of an order, which need not be here yet."""
    del now
    await _hold(tx, store_id, shopify_id)
    if await store.find_tombstone(tx, store_id, shopify_id) is not None:
        return None
    await store.upsert_refunds(tx, store_id, [_refund_values(shopify_id, refund) for refund in refunds])
    await store.update_remaining(tx, store_id, shopify_id)
    return await store.find_by_shopify_id(tx, store_id, shopify_id)


async def record_risk(
    tx: Tx, store_id: int, shopify_id: int, provider: str, level: RiskLevel, assessed_at: int
) -> None:
    """Keep an assessment of an order, which need not be here yet; the worst of all providers counts."""
    await _hold(tx, store_id, shopify_id)
    if await store.find_tombstone(tx, store_id, shopify_id) is None:
        await store.upsert_risk(tx, store_id, shopify_id, provider, level, assessed_at)
        await store.update_risk(tx, store_id, shopify_id)


async def mark_for_refresh(tx: Tx, store_id: int, shopify_id: int, edited_at: int) -> None:
    """Remember that the order was edited: until newer facts come, it has to be fetched again."""
    await _hold(tx, store_id, shopify_id)
    if await store.find_tombstone(tx, store_id, shopify_id) is None:
        await store.upsert_edit(tx, store_id, shopify_id, edited_at)


async def delete(tx: Tx, store_id: int, shopify_id: int, now: int) -> None:
    """Remove an order for good: no later delivery brings it back."""
    await _hold(tx, store_id, shopify_id)
    await store.delete_order(tx, store_id, shopify_id, now)


async def redact(
    tx: Tx,
    store_id: int,
    keyring: Keyring,
    *,
    order_ids: Sequence[int] = (),
    customer_id: int | None = None,
    email: str | None = None,
    now: int,
) -> list[int]:
    """Forget a person in all their orders of this store, which keep working; the Shopify ids of those orders."""
    customers = _customer_digests(keyring, customer_id)
    emails = _email_digests(keyring, email)
    subjects = [_order_subject(keyring, shopify_id) for shopify_id in order_ids]
    return await redact_subjects(tx, store_id, order_ids, subjects, customers, emails, now)


async def redact_subjects(
    tx: Tx,
    store_id: int,
    order_ids: Sequence[int],
    subjects: Sequence[str],
    customers: Sequence[str],
    emails: Sequence[str],
    now: int,
) -> list[int]:
    """`redact` by the digests that `carryout restore` finds in the log of redactions."""
    await hold_recording(tx, store_id)
    await store.insert_redactions(tx, store_id, [*subjects, *customers, *emails], now)
    return await store.update_redacted(tx, store_id, order_ids, customers, emails, now)


async def find(tx: Tx, store_id: int, text: str) -> Order:
    """The order that a merchant means: by our UUID, else Shopify's id, else its number or name (`1050`, `#1050-A`).

    Errors: `OrderUnknown`, `OrderAmbiguous`.
    """
    if is_uid(text):
        found = await store.find_by_uid(tx, store_id, text.lower())
        return _known(found, text)
    number = _number(text.removeprefix("#"))
    if number is not None and (found := await store.find_by_shopify_id(tx, store_id, number)):
        return found
    names = [name for name in {text, "#" + text.removeprefix("#")} if _is_storable(name)]
    hits = await store.list_by_number(tx, store_id, number, names)
    if len(hits) > 1:
        raise OrderAmbiguous(order=text)
    return _known(hits[0] if hits else None, text)


async def find_by_id(tx: Tx, store_id: int, order_id: int) -> Order:
    """The order by our own key. Errors: `OrderUnknown`."""
    return _known(await store.find_order(tx, store_id, order_id), str(order_id))


async def list_ids(tx: Tx, store_id: int, shopify_ids: Sequence[int]) -> list[int]:
    """Our own keys of the orders with these Shopify ids."""
    return await store.list_ids(tx, store_id, shopify_ids) if shopify_ids else []


async def list_lines(tx: Tx, store_id: int, order_id: int) -> list[Line]:
    """The lines of an order, in the order of the purchase, each with what is left of it."""
    return await store.list_lines(tx, store_id, order_id)


async def list_needing_refresh(tx: Tx, store_id: int, limit: int = 100) -> list[int]:
    """Shopify ids of orders that were edited after what we know of them."""
    return await store.list_needing_refresh(tx, store_id, limit)


async def block(tx: Tx, store_id: int, order_id: int, now: int) -> None:
    """Restrict access to everything in the order."""
    await store.update_blocked(tx, store_id, order_id, now)


async def unblock(tx: Tx, store_id: int, order_id: int) -> None:
    """Lift the block."""
    await store.update_blocked(tx, store_id, order_id, None)


async def revoke_links(tx: Tx, store_id: int, order_id: int) -> int:
    """End every link made so far for the order; the number of the new link generation."""
    return await store.update_generation(tx, store_id, order_id)


async def set_terms(tx: Tx, store_id: int, order: Order, changes: dict[str, int | None]) -> None:
    """Change the order's own terms: `downloads`, `addresses`, `expires_at`, `release_at`.

    None goes back to what was snapshotted, `NO_LIMIT` (-1) lifts the limit. It acts at once on links already sent.
    """
    terms = {
        "own_downloads": order.own_downloads,
        "own_addresses": order.own_addresses,
        "own_expires_at": order.own_expires_at,
        "own_release_at": order.own_release_at,
    }
    await store.update_terms(tx, store_id, order.id, terms | {f"own_{name}": value for name, value in changes.items()})


async def set_address_limits(tx: Tx, store_id: int, limit: int | None) -> None:
    """Give orders that exist the store's limit of addresses; an order's own stays before it."""
    await store.update_address_limits(tx, store_id, limit)


async def open_person(tx: Tx, store_id: int, order_id: int, keyring: Keyring) -> Person:
    """Who bought: empty where nothing is known or it was redacted."""
    stored = await store.find_person(tx, store_id, order_id)
    if stored is None or stored.person is None:
        return Person()
    return msgspec.json.decode(keyring.open(stored.person, PERSON_SEAL), type=Person)


async def hold_recording(tx: Tx, store_id: int) -> None:
    """Wait for the store's orders that are being recorded, and keep others waiting until the transaction ends."""
    await tx.lock(_recording(store_id))


async def _hold(tx: Tx, store_id: int, shopify_id: int) -> None:
    await tx.lock(f"order {store_id} {shopify_id}", beside=_recording(store_id))


def _recording(store_id: int) -> str:
    return f"redaction {store_id}"  # the name that the inbox's own deliveries stand beside, too


def _known(order: Order | None, text: str) -> Order:
    if order is None:
        raise OrderUnknown(order=text)
    return order


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,19}", text) and int(text) < _INT64 else None


def _is_storable(text: str) -> bool:
    """Whether a database can hold the text: neither NUL nor half a surrogate pair."""
    return re.search(r"[\0\ud800-\udfff]", text) is None


async def _find_redaction(tx: Tx, store_id: int, facts: OrderFacts, keyring: Keyring) -> int | None:
    """A redaction of the order counts for good, one of the person for what they had bought until then."""
    by_order = [digest.hex() for digest in keyring.digests("order", str(facts.shopify_id))]
    if redacted_at := await store.find_redaction(tx, store_id, by_order):
        return redacted_at
    by_person = [
        *_customer_digests(keyring, facts.person.customer_id),
        *_email_digests(keyring, facts.person.email),
    ]
    redacted_at = await store.find_redaction(tx, store_id, by_person)
    return redacted_at if redacted_at is not None and facts.ordered_at <= redacted_at else None


def _order_subject(keyring: Keyring, shopify_id: int) -> str:
    return keyring.digest("order", str(shopify_id)).hex()


def _customer_digests(keyring: Keyring, customer_id: int | None) -> list[str]:
    return [digest.hex() for digest in keyring.digests("customer", str(customer_id))] if customer_id else []


def _email_digests(keyring: Keyring, email: str | None) -> list[str]:
    return [digest.hex() for digest in keyring.digests("email", email.strip().lower())] if email else []


def _order_values(owner: Store, facts: OrderFacts, keyring: Keyring, redacted_at: int | None) -> dict[str, object]:
    return {
        "uid": new_uid(),
        "shopify_id": facts.shopify_id,
        "order_number": facts.order_number,
        "name": facts.name,
        "token_digest": token_digest(facts.token.encode(errors="surrogatepass")) if facts.token else None,
        "standing": facts.standing.value,
        "locale": facts.locale,
        "ordered_at": facts.ordered_at,
        **_stamp_values(facts),
        **_lines_stamp_values(facts),
        **_person_values(Person() if redacted_at else facts.person, keyring),
        "redacted_at": redacted_at,
        "address_limit": owner.settings.address_limit,
    }


def _stamp_values(facts: OrderFacts) -> dict[str, int]:
    return {
        "updated_at": facts.stamp.updated_at,
        "triggered_at": facts.stamp.triggered_at,
        "standing_rank": facts.stamp.standing_rank,
    }


def _lines_stamp_values(facts: OrderFacts) -> dict[str, int]:
    return {f"lines_{name}": 0 if facts.lines is None else value for name, value in _stamp_values(facts).items()}


def _person_values(person: Person, keyring: Keyring) -> dict[str, object]:
    if person == Person():
        return {"person": None, "email_digest": None, "customer_digest": None}
    return {
        "person": keyring.seal(msgspec.json.encode(person), PERSON_SEAL),
        "email_digest": next(iter(_email_digests(keyring, person.email)), None),
        "customer_digest": next(iter(_customer_digests(keyring, person.customer_id)), None),
    }


def _line_values(order_id: int, facts: OrderFacts, line: LineFacts) -> dict[str, object]:
    return {
        "order_id": order_id,
        "line_item_id": line.line_item_id,
        "position": line.position,
        "product_id": line.product_id,
        "variant_id": line.variant_id,
        "name": line.name,
        "quantity": line.quantity,
        "current_quantity": line.quantity if line.current_quantity is None else line.current_quantity,
        **_stamp_values(facts),
    }


def _refund_values(shopify_id: int, refund: RefundFacts) -> dict[str, object]:
    return {
        "order_shopify_id": shopify_id,
        "refund_id": refund.refund_id,
        "line_item_id": refund.line_item_id,
        "quantity": refund.quantity,
    }


def _variants(facts: OrderFacts) -> list[ProductFacts]:
    return [
        ProductFacts(
            product_id=line.product_id,
            variant_id=line.variant_id,
            name=line.name,
            variant_name=line.variant_name,
            sku=line.sku,
            vendor=line.vendor,
            updated_at=facts.stamp.updated_at,
        )
        for line in facts.lines or ()
        if line.variant_id is not None
    ]
