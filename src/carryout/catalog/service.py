"""Products as the shop tells them, assets as the merchant keeps them, and what is attached to what."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from carryout.catalog import rules, store
from carryout.catalog.model import Asset, Attachment, LimitFault, NewAsset, Place, ProductFacts
from carryout.catalog.places import ProductUnknown, SkuUnknown, VariantUnknown, find_places, places_of_skus, shown
from carryout.catalog.rules import display_size  # the faces show sizes as the catalog does
from carryout.catalog.store import (
    count_assets,
    delete_product,
    find_newest_version,
    find_version,
    list_assets,
    list_by_variant,
    list_for_asset,
    list_for_variants,
)
from carryout.clock import parse_iso
from carryout.db import Tx
from carryout.errors import CarryoutError, Kind
from carryout.identifiers import is_uid
from carryout.merchants.model import Store
from carryout.storage import Blob

__all__ = [
    "AssetUnknown",
    "AttachedToProduct",
    "FilenameInvalid",
    "LimitInvalid",
    "LinkInvalid",
    "ProductUnknown",
    "SkuUnknown",
    "StorageFull",
    "VariantUnknown",
    "add_file",
    "add_link",
    "add_version",
    "attach",
    "count_assets",
    "delete_product",
    "detach",
    "display_size",
    "find_asset",
    "find_newest_version",
    "find_version",
    "list_assets",
    "list_by_variant",
    "list_for_asset",
    "list_for_variants",
    "list_kept",
    "note_variants",
    "record_products",
    "remove_asset",
    "require_room",
    "require_skus",
    "set_limits",
    "update_asset",
]

_LOGO: Final = re.compile(r"([0-9a-f]{64})\.")  # a picture that is kept is named by its digest
_LIMITS: Final = ("downloads", "expires_days", "release_at")
_SIZE_LENGTH: Final = 100


class AssetUnknown(CarryoutError):
    """There is no asset {asset}."""

    kind = Kind.NOT_FOUND


class AttachedToProduct(CarryoutError):
    """The asset is attached to all variants of product {product_id}; detach it from the product."""

    kind = Kind.CONFLICT


class FilenameInvalid(CarryoutError):
    """A file name must be 1 to 255 characters that can be shown."""

    field = "filename"


class LinkInvalid(CarryoutError):
    """A link must be an http or https address of at most 2048 ASCII characters, with a host and without credentials."""

    field = "url"


class StorageFull(CarryoutError):
    """The store's plan holds {limit} of files: with {used} there already, another {more} is too much."""

    kind = Kind.PLAN


class LimitInvalid(CarryoutError):
    """{key} {must}."""


# ── products


async def record_products(tx: Tx, store_id: int, facts: Sequence[ProductFacts]) -> None:
    """Take what the shop itself says of variants; the newest stays, and variants it does not name stay as they are."""
    await store.update_products(tx, store_id, _cleaned(facts))


async def note_variants(tx: Tx, store_id: int, facts: Sequence[ProductFacts]) -> None:
    """Take what order lines say of variants, until the shop itself tells of them; the newest stays."""
    await store.insert_variants(tx, store_id, _cleaned(facts))


# ── assets


async def require_room(tx: Tx, store_id: int, plan_bytes: int | None, more_bytes: int) -> None:
    """Before files are added: on a plan with a limit, each counts with its newest version. Errors: `StorageFull`."""
    if plan_bytes is None:
        return
    await tx.lock(f"room {store_id}")  # two who add at once cannot both take what is left
    used_bytes = await store.count_bytes(tx, store_id)
    if used_bytes + more_bytes > plan_bytes:
        used, more, limit = map(display_size, (used_bytes, more_bytes, plan_bytes))
        raise StorageFull(used=used, more=more, limit=limit)


async def add_file(tx: Tx, store_id: int, filename: str, blob: Blob, now: int) -> Asset:
    """Make an asset of stored bytes. Errors: `FilenameInvalid`."""
    shown = rules.shown_filename(filename)
    if shown is None:
        raise FilenameInvalid
    asset_id = await store.insert_asset(tx, store_id, NewAsset(filename=shown), now)
    return await add_version(tx, store_id, asset_id or 0, blob, now)


async def add_link(
    tx: Tx, store_id: int, url: str, name: str, size_text: str | None, now: int, stated_bytes: int | None = None
) -> Asset:
    """Make an asset of a link; `size_text` is what buyers see as its size, `stated_bytes` the same as a number.

    Errors: `LinkInvalid`, `FilenameInvalid`.
    """
    shown = rules.shown_link_name(name)
    if shown is None:
        raise FilenameInvalid
    if not rules.is_link(url):
        raise LinkInvalid
    shown_size = None if size_text is None else rules.shown_text(size_text)[:_SIZE_LENGTH]
    new = NewAsset(is_link=True, filename=shown, size_text=shown_size, stated_bytes=stated_bytes, link_url=url)
    asset_id = await store.insert_asset(tx, store_id, new, now)
    return await _asset(tx, store_id, asset_id or 0)


async def add_version(tx: Tx, store_id: int, asset_id: int, blob: Blob, now: int) -> Asset:
    """Give a file new bytes: buyers get the newest from now on; the same bytes again change nothing.

    Errors: `AssetUnknown` (also for a link).
    """
    if await store.find_file_locked(tx, store_id, asset_id) is None:
        raise AssetUnknown(asset=asset_id)
    newest = await store.find_newest_version(tx, store_id, asset_id)
    if newest is None or newest.sha256 != blob.sha256:
        version_id = await store.insert_version(tx, store_id, asset_id, blob, now)
        await store.update_version(tx, store_id, asset_id, version_id or 0)
    return await _asset(tx, store_id, asset_id)


async def find_asset(tx: Tx, store_id: int, text: str) -> Asset:
    """The asset that a person named by its id. Errors: `AssetUnknown`."""
    text = text.strip().lower()
    found = await store.find_asset_by_uid(tx, store_id, text) if is_uid(text) else None
    if found is None:
        raise AssetUnknown(asset=shown(text))
    return found


async def set_limits(tx: Tx, store_id: int, asset_id: int, pairs: Iterable[tuple[str, str]]) -> Asset:
    """Apply the pairs of `asset set`, all or none, for orders to come. Errors: `LimitInvalid`, `AssetUnknown`."""
    for key, value in pairs:
        await store.update_value(tx, store_id, asset_id, key, _limit(key, value))
    return await _asset(tx, store_id, asset_id)


async def update_asset(tx: Tx, store_id: int, asset: Asset, values: Mapping[str, str | int | None]) -> Asset:
    """Write what is named: `filename`, a link's `link_url`, `size_text` and `stated_bytes`, and its own limits.

    Errors: `FilenameInvalid`, `LinkInvalid`, `AssetUnknown`.
    """
    written = dict(values)
    if "filename" in written:
        name = str(written["filename"])
        written["filename"] = rules.shown_link_name(name) if asset.is_link else rules.shown_filename(name)
        if written["filename"] is None:
            raise FilenameInvalid
    if "link_url" in written and not rules.is_link(str(written["link_url"])):
        raise LinkInvalid
    for key, value in written.items():
        await store.update_value(tx, store_id, asset.id, key, value)
    return await _asset(tx, store_id, asset.id)


async def remove_asset(tx: Tx, store_id: int, asset_id: int, now: int) -> None:
    """Take an asset away; who bought it is told so (`asset_unavailable`). Errors: `AssetUnknown`."""
    if not await store.remove_asset(tx, store_id, asset_id, now):
        raise AssetUnknown(asset=asset_id)


async def list_kept(tx: Tx, owner: Store, first: bytes, last: bytes, since: int) -> list[bytes]:
    """Which files, from the first digest to the last, are the store's logo or of an asset not removed before `since`.

    Every version counts, not the newest alone.
    """
    logo = _LOGO.match(owner.settings.logo or "")
    kept = await store.list_kept(tx, owner.id, first, last, since)
    return [*kept, bytes.fromhex(logo[1])] if logo else kept


# ── attachments


async def require_skus(tx: Tx, store_id: int, skus: Sequence[str]) -> None:
    """Before files are stored for these SKUs. Errors: `SkuUnknown`."""
    await places_of_skus(tx, store_id, skus)


async def attach(
    tx: Tx,
    store_id: int,
    asset_id: int,
    *,
    skus: Sequence[str] = (),
    variant_ids: Sequence[str | int] = (),
    product_ids: Sequence[str | int] = (),
    applies_from: int = 0,
    now: int,
) -> list[Place]:
    """Attach an asset to variants and products; again changes nothing. Answers the places that were named.

    Ids are Shopify's, or ours of a product row, which is one variant. Orders from `applies_from` on are granted it.
    Errors: `AssetUnknown`, `SkuUnknown`, `VariantUnknown`, `ProductUnknown`.
    """
    await _asset(tx, store_id, asset_id)
    places = await find_places(tx, store_id, skus, variant_ids, product_ids)
    new = [Attachment(asset_id, place.product_id, place.variant_id, applies_from) for place in places]
    await store.insert_attachments(tx, store_id, new, now)
    return places


async def detach(
    tx: Tx,
    store_id: int,
    asset_id: int,
    *,
    skus: Sequence[str] = (),
    variant_ids: Sequence[str | int] = (),
    product_ids: Sequence[str | int] = (),
) -> list[Place]:
    """Detach an asset from variants, and from products with all their variants; grants that exist stay.

    Errors: those of `attach`, and `AttachedToProduct` when it would still reach one of the variants.
    """
    await _asset(tx, store_id, asset_id)
    places = await find_places(tx, store_id, skus, variant_ids, product_ids)
    whole = [place.product_id for place in places if place.variant_id is None and place.product_id is not None]
    variants = [place.variant_id for place in places if place.variant_id is not None]
    variants += [row.variant_id for row in await store.list_by_product(tx, store_id, whole)]
    await store.delete_attachments(tx, store_id, asset_id, variants, whole)
    touched = [place.product_id for place in places if place.product_id is not None]
    covering = await store.find_covering_product(tx, store_id, asset_id, touched)
    if covering is not None:
        raise AttachedToProduct(product_id=covering)
    return places


async def _asset(tx: Tx, store_id: int, asset_id: int) -> Asset:
    found = await store.find_asset(tx, store_id, asset_id)
    if found is None:
        raise AssetUnknown(asset=asset_id)
    return found


def _limit(key: str, value: str) -> int | None:
    if key not in _LIMITS:
        raise LimitInvalid(key=shown(key), must="is not a limit of an asset; they are " + ", ".join(_LIMITS))
    if key != "release_at":
        number = rules.limit(key, value)
        if isinstance(number, LimitFault):
            raise LimitInvalid(key=key, must=number.must)
        return number
    if value.strip().lower() == "none":
        return None
    at = parse_iso(value.strip())
    if at is None:
        raise LimitInvalid(key=key, must="must be a time such as 2026-12-24T18:00:00Z, or none")
    return at


def _cleaned(facts: Sequence[ProductFacts]) -> list[ProductFacts]:
    """Without what a database refuses, and in one order, so that two deliveries at once never wait for each other."""
    return sorted(map(_clean, facts), key=lambda fact: fact.variant_id)


def _clean(fact: ProductFacts) -> ProductFacts:
    return msgspec.structs.replace(
        fact,
        name=rules.shown_text(fact.name),
        variant_name=_clean_text(fact.variant_name),
        sku=_clean_text(fact.sku),
        vendor=_clean_text(fact.vendor),
        tags=tuple(map(rules.shown_text, fact.tags)),
    )


def _clean_text(text: str | None) -> str | None:
    return None if text is None else rules.shown_text(text)
