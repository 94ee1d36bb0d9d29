"""What buyers may do with what they bought, and what merchants change about it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from carryout.catalog import service as catalog
from carryout.catalog.model import Place
from carryout.db import Tx
from carryout.entitlements import rules, store
from carryout.entitlements.judging import Explained, Judged, explain, grant_facts, judge, order_facts
from carryout.entitlements.model import (
    Claimed,
    ClientFacts,
    CustomerView,
    GrantFacts,
    GrantView,
    LineView,
    MissingGrant,
    Offer,
    OrderFacts,
    OrderView,
    Refusal,
    Refused,
    Terms,
)
from carryout.errors import CarryoutError, Kind
from carryout.identifiers import new_uid
from carryout.jobs.queue import enqueue
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.tickets import Ticket

__all__ = [
    "APPLY_SETTINGS",
    "REACH_ORDERS",
    "Attached",
    "Explained",
    "Judged",
    "LinkUnknown",
    "apply_settings",
    "attach",
    "attach_to_order",
    "client_facts",
    "detach",
    "detach_from_order",
    "enqueue_settings",
    "explain",
    "find_by_ticket",
    "find_grant",
    "find_to_resume",
    "grant_facts",
    "hold",
    "hold_by_id",
    "hold_order",
    "judge",
    "judge_claim",
    "meet",
    "note_address",
    "order_facts",
    "reach_orders",
    "refuse",
    "regrant",
    "settle",
    "spend",
    "stop",
    "verdict",
    "view_by_id",
    "view_by_token",
]

_BATCH: Final = 200
REACH_ORDERS: Final = "reach_orders"
APPLY_SETTINGS: Final = "apply_settings"


class LinkUnknown(CarryoutError):
    """This download link does not exist or no longer works. Please open the link in your order again."""

    kind = Kind.NOT_FOUND


# ── reading


async def view_by_token(tx: Tx, digest: bytes, domain: str | None) -> CustomerView[Offer] | None:
    """The order behind an order-status token's digest, or None."""
    found = await store.find_by_token(tx, digest, domain)
    if found is None:
        return None
    found.lines.sort(key=_place)
    found.grants.sort(key=_key)
    return CustomerView(found, found.lines, found.grants)


def _place(line: LineView) -> tuple[int, int]:
    return line.position, line.id


def _key(grant: Offer) -> int:
    return grant.id


async def view_by_id(tx: Tx, store_id: int, order_id: int) -> CustomerView[GrantView]:
    """The order by our own key. Errors: `OrderUnknown`."""
    order = await store.find_order(tx, store_id, order_id)
    if order is None:
        raise orders.OrderUnknown(order=order_id)
    return await _view(tx, order)


async def _view(tx: Tx, order: OrderView) -> CustomerView[GrantView]:
    lines = await store.list_lines(tx, order.store_id, order.id)
    return CustomerView(order, lines, await store.list_grants(tx, order.store_id, order.id))


async def find_by_ticket(tx: Tx, ticket: Ticket) -> Claimed:
    """The grant behind a ticket, as it stands, nothing spent. Errors: `LinkUnknown`."""
    found = await store.find_pair(tx, ticket.store_id, ticket.row_id)
    if found is None:
        raise LinkUnknown
    _live(found.order, ticket.generation)
    return found


def judge_claim(found: Claimed, now: int) -> Refused | None:
    """Why the grant could not be claimed now by a client that nothing is known of, or None."""
    refusal = rules.verdict(order_facts(found.order), grant_facts(found.grant), None, now)
    return None if refusal is None else refuse(found.order, refusal)


def verdict(order: OrderView, grant: GrantView, client: ClientFacts | None, now: int) -> Refusal | None:
    """Whether this grant may be used now by this client, and if not, why."""
    return rules.verdict(order_facts(order), grant_facts(grant), client, now)


def stop(order: OrderFacts, grant: GrantFacts) -> Refusal | None:
    """Whether a download of this grant that was opened in time must not go on, and why."""
    return rules.stop(order, grant)


async def find_to_resume(tx: Tx, store_id: int, order_id: int, generation: int, *, is_held: bool) -> OrderView:
    """The order of a running download; held, it stands in line with claims. Errors: `LinkUnknown`."""
    find = store.find_order_held if is_held else store.find_order
    return _live(await find(tx, store_id, order_id), generation)


async def client_facts(tx: Tx, order: OrderView, addresses: Sequence[bytes]) -> ClientFacts:
    """What is known of a client; `addresses` are the digests of its address, one for each secret key."""
    return (await meet(tx, order, addresses))[0]


async def meet(tx: Tx, order: OrderView, addresses: Sequence[bytes]) -> tuple[ClientFacts, int | None]:
    """`client_facts`, and when the order's person was redacted."""
    owner = order.store_id
    known = await store.find_client(tx, owner, order.id, addresses[0])
    if known is None:
        raise LinkUnknown
    is_known = known.is_known
    for digest in addresses[1:]:
        is_known = is_known or await store.find_address(tx, owner, order.id, digest) is not None
    return ClientFacts(is_new_address=not is_known, addresses=known.addresses), known.redacted_at


# ── spending


async def hold(tx: Tx, ticket: Ticket) -> Claimed:
    """The grant behind a ticket, its order held until the transaction ends: whoever opens a download stands in line.

    Nothing is spent. Errors: `LinkUnknown`.
    """
    if not tx.is_alone:
        # In a statement of its own: what is read after it is as whoever held the order before has left it.
        await store.find_order_of_grant_held(tx, ticket.store_id, ticket.row_id)
    return await find_by_ticket(tx, ticket)


async def hold_order(tx: Tx, ticket: Ticket) -> tuple[OrderView, list[GrantView]]:
    """The order behind a ticket, held as by `hold`, and its grants. Errors: `LinkUnknown`."""
    order = _live(await store.find_order_held(tx, ticket.store_id, ticket.row_id), ticket.generation)
    return order, await store.list_grants(tx, ticket.store_id, order.id)


async def hold_by_id(tx: Tx, store_id: int, order_id: int) -> bool:
    """Hold an order as `hold` does; whether there is one."""
    return await store.find_order_held(tx, store_id, order_id) is not None


async def find_grant(tx: Tx, store_id: int, grant_id: int) -> GrantView | None:
    """A live grant as it stands."""
    return await store.find_grant(tx, store_id, grant_id)


async def spend(tx: Tx, store_id: int, grant_id: int) -> int | None:
    """Spend one use by the statement that tests the limit; the uses spent, or None: it allows no more."""
    return await store.spend_use(tx, store_id, grant_id)


async def settle(tx: Tx, store_id: int, grant_id: int, *, uses: int, sent_bytes: int, size_bytes: int) -> None:
    """Give uses back whose downloads ended unfinished, and charge what was sent (`sessions.rules.settle`, in SQL)."""
    await store.update_account(tx, store_id, grant_id, uses=uses, sent_bytes=sent_bytes, size_bytes=size_bytes)


async def note_address(tx: Tx, order: OrderView, address: bytes, now: int) -> None:
    """Count an address among those of the order."""
    await store.insert_address(tx, order.store_id, order.id, address, now)


def _live(order: OrderView | None, generation: int) -> OrderView:
    if order is None or order.link_generation != generation:
        raise LinkUnknown
    return order


def refuse(order: OrderView, refusal: Refusal) -> Refused:
    """A refusal in the words of the order's store."""
    return Refused(refusal, rules.message(refusal, order.settings.messages), order)


# ── granting


async def regrant(tx: Tx, owner: Store, order_id: int, now: int) -> int:
    """Add the grants that the order should have and has not; how many. It never changes one that exists."""
    missing = await store.list_missing(tx, owner.id, order_id)
    if missing:
        order = await orders.find_by_id(tx, owner.id, order_id)
        rows = [_new_grant(owner, order_id, order.ordered_at, grant, now) for grant in missing]
        await store.insert_grants(tx, owner.id, rows)
    return len(missing)


def _new_grant(owner: Store, order_id: int, ordered_at: int, missing: MissingGrant, now: int) -> dict[str, object]:
    settings = owner.settings
    own = Terms(missing.downloads, missing.expires_days, missing.release_at)
    terms = rules.snapshot(own, settings.download_limit, settings.expires_days, ordered_at)
    return {
        "uid": new_uid(),
        "order_id": order_id,
        "line_id": missing.line_id,
        "asset_id": missing.asset_id,
        "base_downloads": terms.downloads,
        "is_per_unit": settings.limit_per_unit,
        "base_expires_at": terms.expires_at,
        "base_release_at": terms.release_at,
        "created_at": now,
    }


class Attached(msgspec.Struct, frozen=True):
    """Where an asset stands or stood: Shopify's ids of products and variants, our keys of orders."""

    product_ids: list[int]
    variant_ids: list[int]


async def attach(
    tx: Tx,
    owner: Store,
    asset_id: int,
    *,
    skus: Sequence[str] = (),
    variant_ids: Sequence[str | int] = (),
    product_ids: Sequence[str | int] = (),
    reaches_existing: bool = True,
    now: int,
) -> Attached:
    """Attach an asset to variants and products, and let a job grant it to those who already bought them."""
    # An order either is there when the job looks, or sees the attachment when it is recorded.
    await orders.hold_recording(tx, owner.id)
    applies_from = 0 if reaches_existing else now
    places = await catalog.attach(
        tx,
        owner.id,
        asset_id,
        skus=skus,
        variant_ids=variant_ids,
        product_ids=product_ids,
        applies_from=applies_from,
        now=now,
    )
    if reaches_existing and places:
        key = f"{REACH_ORDERS} {owner.id} {asset_id}"
        await enqueue(tx, REACH_ORDERS, {"asset_id": asset_id}, store_id=owner.id, run_at=now, dedupe_key=key)
    return _attached(places)


async def detach(
    tx: Tx,
    owner: Store,
    asset_id: int,
    *,
    skus: Sequence[str] = (),
    variant_ids: Sequence[str | int] = (),
    product_ids: Sequence[str | int] = (),
    revokes: bool = False,
    now: int,
) -> Attached:
    """Detach an asset; existing grants stay unless they are to be revoked."""
    places = await catalog.detach(tx, owner.id, asset_id, skus=skus, variant_ids=variant_ids, product_ids=product_ids)
    if revokes:
        variants = [place.variant_id for place in places if place.variant_id is not None]
        whole = [place.product_id for place in places if place.variant_id is None and place.product_id is not None]
        await store.revoke_detached(tx, owner.id, asset_id, variants, whole, now)
    return _attached(places)


def _attached(places: Sequence[Place]) -> Attached:
    return Attached(
        product_ids=sorted({place.product_id for place in places if place.product_id is not None}),
        variant_ids=sorted({place.variant_id for place in places if place.variant_id is not None}),
    )


async def attach_to_order(tx: Tx, owner: Store, order_id: int, asset_ids: Sequence[int], now: int) -> None:
    """Attach assets to the order itself, beside what its lines grant; nobody is notified."""
    for asset_id in asset_ids:
        await store.insert_order_asset(tx, owner.id, order_id, asset_id, now)
    await regrant(tx, owner, order_id, now)


async def detach_from_order(
    tx: Tx, owner: Store, order_id: int, asset_ids: Sequence[int], now: int, *, revokes: bool = False
) -> None:
    """Detach assets from the order itself; their grants stay unless they are to be revoked."""
    for asset_id in asset_ids:
        await store.delete_order_asset(tx, owner.id, order_id, asset_id)
        if revokes:
            await store.revoke_of_order(tx, owner.id, order_id, asset_id, now)


async def reach_orders(tx: Tx, owner: Store, asset_id: int, after: int, now: int) -> int | None:
    """Grant an asset to the next batch of orders that bought it; the last order's key, or None at the end."""
    reached = await store.list_reached(tx, owner.id, asset_id, after, _BATCH)
    for order_id in reached:
        await regrant(tx, owner, order_id, now)
    return reached[-1] if len(reached) == _BATCH else None


async def enqueue_settings(tx: Tx, owner: Store, now: int) -> None:
    """Have a job apply the store's limits to what was granted before (`store set --apply-to-existing`)."""
    await orders.set_address_limits(tx, owner.id, owner.settings.address_limit)
    await enqueue(tx, APPLY_SETTINGS, {}, store_id=owner.id, run_at=now, dedupe_key=f"{APPLY_SETTINGS} {owner.id}")


async def apply_settings(tx: Tx, owner: Store, after: int) -> int | None:
    """Give the next batch of existing grants the store's limits; the last grant's key, or None at the end."""
    ids = await store.list_grant_ids(tx, owner.id, after, _BATCH)
    settings = owner.settings
    await store.update_snapshots(
        tx, owner.id, ids, settings.download_limit, settings.expires_days, is_per_unit=settings.limit_per_unit
    )
    return ids[-1] if len(ids) == _BATCH else None
