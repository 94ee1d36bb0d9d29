"""What the buyer's faces show of an order: the same judgement, put into the contract's words."""

from collections import defaultdict
from functools import lru_cache
from typing import Final

from carryout.catalog.service import display_size
from carryout.entitlements import service as entitlements
from carryout.entitlements.model import CustomerView, GrantView, LineView, OrderView
from carryout.entitlements.service import Judged
from carryout.storefront.model import (
    AssetData,
    AssetEntry,
    Limits,
    LineEntry,
    OrderEntry,
    PageText,
    ProductEntry,
    RefusalEntry,
    Reply,
)
from carryout.tickets import Links

DEFAULT_TITLE: Final = "Download files for your orders"
_UNKNOWN_SIZE: Final = "unknown"


def reply(view: CustomerView, links: Links, now: int) -> Reply:
    """The customer endpoint's reply for one order, without anything personal in it."""
    by_line: defaultdict[int | None, list[AssetEntry]] = defaultdict(list)
    for judged in entitlements.judge(view, now):
        by_line[judged.grant.line_id].append(_asset(view.order, judged, links))
    lines = [LineEntry(_product(line), by_line[line.id]) for line in view.lines]
    text = PageText(view.order.settings.title or DEFAULT_TITLE, view.order.settings.text)
    return Reply(OrderEntry(view.order.order_number, lines, by_line[None], text), text)


def _product(line: LineView) -> ProductEntry:
    if line.product_uid is None:
        return ProductEntry(None, line.name, None, None, None, None, None, None)
    return ProductEntry(
        line.product_uid,
        line.product_name or line.name,
        line.variant_name,
        line.sku,
        line.product_id,
        line.variant_id,
        line.vendor,
        line.tags,
    )


def _asset(order: OrderView, judged: Judged, links: Links) -> AssetEntry:
    grant = judged.grant
    limits = Limits(grant.used, judged.limit)
    if judged.refusal is None:
        return AssetEntry(limits, _data(grant, _url(order, grant, links)))
    refusal = RefusalEntry(judged.refusal.value, judged.message or "")
    return AssetEntry(limits, _data(grant, None), refusal)


def _data(grant: GrantView, url: str | None) -> AssetData:
    size = size_text(grant.size_bytes) if grant.size_bytes is not None else grant.size_text or _UNKNOWN_SIZE
    return AssetData(grant.asset_uid, grant.filename, size, not grant.is_link, grant.is_link, url)


def _url(order: OrderView, grant: GrantView, links: Links) -> str:
    if grant.is_link and grant.link_url is not None and order.settings.expose_link_targets:
        return grant.link_url
    return links.grant(order.store_id, grant.id, order.link_generation, grant.filename)


size_text = lru_cache(maxsize=4096)(display_size)
