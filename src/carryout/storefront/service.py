"""What the buyer's faces show of an order: the same judgement, put into the contract's words."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from carryout.catalog.service import display_size
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import (
    AnyGrant,
    ClientFacts,
    CustomerView,
    GrantView,
    LineView,
    Offer,
    OrderView,
    Refusal,
)
from carryout.entitlements.service import Judged
from carryout.errors import CarryoutError, Kind
from carryout.orders.service import OrderUnknown
from carryout.sessions import service as sessions
from carryout.sessions.model import SessionKind
from carryout.storefront.model import (
    AssetData,
    AssetEntry,
    Group,
    Limits,
    LineEntry,
    OrderEntry,
    OrderPage,
    PageText,
    ProductEntry,
    RefusalEntry,
    Reply,
    Row,
)
from carryout.tickets import Links, Ticket

DEFAULT_TITLE: Final = "Download files for your orders"
_UNKNOWN_SIZE: Final = "unknown"
_NO_VARIANT: Final = "Default Title"  # what Shopify calls the only variant of a product


class OrderLinkUnknown(CarryoutError):
    """This link does not work. Please open the newest e-mail of the shop about your order and use the link in it."""

    kind = Kind.NOT_FOUND


def reply(view: CustomerView[AnyGrant], links: Links, now: int) -> Reply:
    """The customer endpoint's reply for one order, without anything personal in it."""
    by_line: defaultdict[int | None, list[AssetEntry]] = defaultdict(list)
    for judged in entitlements.judge(view, now):
        by_line[judged.grant.line_id].append(_asset(view.order, judged, links))
    lines = [LineEntry(_product(line), by_line[line.id]) for line in view.lines]
    text = PageText(view.order.settings.title or DEFAULT_TITLE, view.order.settings.text)
    return Reply(OrderEntry(view.order.order_number, lines, by_line[None], text), text)


async def open_page(tx: Tx, ticket: Ticket, addresses: Sequence[bytes], now: int) -> OrderPage:
    """The buyer's page behind an order's ticket, judged for a client; nothing is spent and nothing is written.

    `addresses` are the digests of the client's address under every secret key. Errors: `OrderLinkUnknown`.
    """
    try:
        view = await entitlements.view_by_id(tx, ticket.store_id, ticket.row_id)
    except OrderUnknown:
        raise OrderLinkUnknown from None
    order = view.order
    if order.link_generation != ticket.generation:
        raise OrderLinkUnknown
    client = await entitlements.client_facts(tx, order, addresses)
    paid = _allowed_once_paid(view, client, now)
    if paid.intersection(_at_limit(view, client, now)):
        foreseen = {each.id: each for each in await sessions.foresee(tx, order, view.grants, addresses, now)}
        grants = [foreseen[grant.id] if grant.id in paid else grant for grant in view.grants]
        view = msgspec.structs.replace(view, grants=grants)
    joinable = await sessions.list_open(tx, order.store_id, order.id, addresses, now)
    begun = {each for session in joinable if session.kind is not SessionKind.ZIP for each in session.grant_ids}
    by_line: defaultdict[int | None, list[Row]] = defaultdict(list)
    for judged in entitlements.judge(view, now, client):
        is_resumable = judged.refusal is not None and judged.grant.id in begun & paid
        by_line[judged.grant.line_id].append(_row(judged, is_resumable=is_resumable))
    groups = [Group(_title(line), by_line[line.id]) for line in view.lines if line.id in by_line]
    if None in by_line:
        groups.append(Group(None, by_line[None]))
    return OrderPage(
        order.store_id,
        order.store_uid,
        order.id,
        order.order_number,
        order.link_generation,
        order.locale,
        order.settings,
        groups,
        any(session.kind is SessionKind.ZIP and paid.issuperset(session.grant_ids) for session in joinable),
    )


def _at_limit(view: CustomerView[GrantView], client: ClientFacts, now: int) -> list[int]:
    judged = entitlements.judge(view, now, client)
    return [each.grant.id for each in judged if each.refusal is Refusal.DOWNLOAD_LIMIT_REACHED]


def _allowed_once_paid(view: CustomerView[GrantView], client: ClientFacts, now: int) -> frozenset[int]:
    """The grants that the client may use where an open download of it has paid for that."""
    paid = msgspec.structs.replace(client, has_open_session=True)
    return frozenset(judged.grant.id for judged in entitlements.judge(view, now, paid) if judged.refusal is None)


def _title(line: LineView) -> str:
    return line.name if line.variant_name in (None, "", _NO_VARIANT) else f"{line.name} \N{EN DASH} {line.variant_name}"


def _row(judged: Judged[GrantView], *, is_resumable: bool) -> Row:
    grant = judged.grant
    return Row(
        uid=grant.uid,
        grant_id=grant.id,
        filename=grant.filename,
        is_link=grant.is_link,
        link_url=grant.link_url,
        size_bytes=grant.size_bytes,
        size_text=grant.size_text,
        sha256=None if grant.sha256 is None else grant.sha256.hex(),
        used=grant.used,
        limit=judged.limit,
        expires_at=judged.expires_at,
        release_at=judged.release_at,
        refusal=None if is_resumable else judged.refusal,
        message=None if is_resumable else judged.message,
        is_resumable=is_resumable,
    )


def _product(line: LineView) -> ProductEntry:
    if line.product_uid is None:
        return ProductEntry(None, line.name, None, None, None, None, None, None)
    return ProductEntry(
        line.product_uid,
        line.name,
        line.variant_name,
        line.sku,
        line.product_id,
        line.variant_id,
        line.vendor,
        line.tags,
    )


def _asset(order: OrderView, judged: Judged[AnyGrant], links: Links) -> AssetEntry:
    grant = judged.grant
    limits = Limits(grant.used, judged.limit)
    if judged.refusal is None:
        return AssetEntry(limits, _data(grant, _url(order, grant, links)))
    refusal = RefusalEntry(judged.refusal.value, judged.message or "")
    return AssetEntry(limits, _data(grant, None), refusal)


def _data(grant: Offer, url: str | None) -> AssetData:
    size = size_text(grant.size_bytes) if grant.size_bytes is not None else grant.size_text or _UNKNOWN_SIZE
    return AssetData(grant.asset_uid, grant.filename, size, not grant.is_link, grant.is_link, url)


def _url(order: OrderView, grant: Offer, links: Links) -> str:
    if grant.is_link and grant.link_url is not None and order.settings.expose_link_targets:
        return grant.link_url
    return links.grant(order.store_id, grant.id, order.link_generation, grant.filename)


size_text = lru_cache(maxsize=4096)(display_size)
