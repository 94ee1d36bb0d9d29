"""`carryout asset …`."""

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cyclopts import App, CycloptsError, Parameter

from carryout.catalog import service as catalog
from carryout.catalog.model import Asset
from carryout.cli.output import AsJson, StoreName, iso_or_none, pairs, print_facts, print_json, print_table
from carryout.cli.reading import opened, store_file
from carryout.cli.session import Session, run
from carryout.clock import now
from carryout.db import Tx
from carryout.entitlements import service as entitlements
from carryout.entitlements.service import Attached
from carryout.merchants.model import Store
from carryout.orders import service as orders
from carryout.storage import Blob

app = App(name="asset", help="Files and links, and what they are attached to.")

AssetId = Annotated[str, Parameter(name="ASSET", help="The asset's id.")]
Skus = Annotated[list[str] | None, Parameter(name="--sku", help="Every variant with this SKU; may be repeated.")]
Variants = Annotated[list[str] | None, Parameter(name="--variant", help="A variant: Shopify's id, or ours.")]
Products = Annotated[list[str] | None, Parameter(name="--product", help="A product with all its variants.")]
Orders = Annotated[list[str] | None, Parameter(name="--order", help="An order itself: id, Shopify's id or number.")]

_COLUMNS: Final = ("id", "filename", "size", "is_file", "downloads", "expires_days", "release_at")
_PAGE: Final = 500


class Places(msgspec.Struct, frozen=True):
    """Where an asset goes or is taken from, and whether those who bought before gain or lose it."""

    skus: list[str]
    variant_ids: list[str]
    product_ids: list[str]
    orders: list[str]
    reaches_existing: bool = True
    revokes: bool = False


@app.command
def add(
    *files: Annotated[Path, Parameter(name="FILE")],
    store: StoreName,
    link: str | None = None,
    name: str | None = None,
    sku: Skus = None,
    as_json: AsJson = False,
) -> None:
    """Add files, or one link, and attach them.

    Parameters
    ----------
    link
        An address to redirect to, instead of files.
    name
        What buyers see as the link's name.
    """
    if (link is None) == (not files) or (link is None) != (name is None):
        raise CycloptsError(msg="Name files, or --link and --name.")
    if link is not None and name is not None:
        rows = run(_add_link, store, link, name, sku or [])
    else:
        rows = run(_add_files, store, files, sku or [])
    _print(rows, as_json=as_json)


@app.command(name="list")
def list_(*, store: StoreName, as_json: AsJson = False) -> None:
    """Every file and link of a store."""
    _print(run(_list, store), as_json=as_json)


@app.command(name="set")
def set_(asset: AssetId, /, *words: str, store: StoreName, as_json: AsJson = False) -> None:
    """Change an asset's own limits: downloads, expires_days, release_at; orders that come later get them.

    Parameters
    ----------
    words
        KEY=VALUE, such as downloads=3, expires_days=none or release_at=2026-12-24T18:00:00Z.
    """
    document = run(_set, store, asset, pairs(words))
    if as_json:
        print_json(document)
    else:
        print_facts(document)


@app.command
def attach(
    asset: AssetId,
    /,
    *,
    store: StoreName,
    sku: Skus = None,
    variant: Variants = None,
    product: Products = None,
    order: Orders = None,
    applies_to: Literal["all", "new"] = "all",
    as_json: AsJson = False,
) -> None:
    """Attach an asset to what is sold, or to an order itself.

    Parameters
    ----------
    applies_to
        Orders that bought it before too, or only those that come from now on.
    """
    places = Places(sku or [], variant or [], product or [], order or [], reaches_existing=applies_to == "all")
    _print_places(run(_attach, store, asset, _some(places)), as_json=as_json)


@app.command
def detach(
    asset: AssetId,
    /,
    *,
    store: StoreName,
    sku: Skus = None,
    variant: Variants = None,
    product: Products = None,
    order: Orders = None,
    revoke: bool = False,
    as_json: AsJson = False,
) -> None:
    """Detach an asset; who bought it keeps it.

    Parameters
    ----------
    revoke
        Take it away from those who bought it, too.
    """
    places = Places(sku or [], variant or [], product or [], order or [], revokes=revoke)
    _print_places(run(_detach, store, asset, _some(places)), as_json=as_json)


async def _add_files(session: Session, text: str, files: tuple[Path, ...], skus: list[str]) -> list[dict[str, Any]]:
    store = await session.find_store(text)
    await session.database.read(catalog.require_skus, store.id, skus)
    plan_bytes = session.settings.plan(store.plan).storage_bytes
    with opened(files) as sources:
        whole_bytes = sum(os.fstat(source.fileno()).st_size for _, source in sources)
        await session.database.read(catalog.require_room, store.id, plan_bytes, whole_bytes)
        stored = [(path.name, await store_file(session.storage, store.uid, source)) for path, source in sources]
    made = await session.database.write(_register, store, stored, skus, plan_bytes, now())
    await reach(session, store, made if skus else [])
    return [describe(asset) for asset in made]


async def _register(
    tx: Tx, store: Store, stored: list[tuple[str, Blob]], skus: list[str], plan_bytes: int | None, moment: int
) -> list[Asset]:
    """All of the files, or none."""
    await catalog.require_room(tx, store.id, plan_bytes, sum(blob.size_bytes for _, blob in stored))
    made = [await catalog.add_file(tx, store.id, name, blob, moment) for name, blob in stored]
    await _attach_new(tx, store, made, skus, moment)
    return made


async def _add_link(session: Session, text: str, link: str, name: str, skus: list[str]) -> list[dict[str, Any]]:
    store = await session.find_store(text)
    made = await session.database.write(_register_link, store, link, name, skus, now())
    await reach(session, store, [made] if skus else [])
    return [describe(made)]


async def _register_link(tx: Tx, store: Store, link: str, name: str, skus: list[str], moment: int) -> Asset:
    made = await catalog.add_link(tx, store.id, link, name, None, moment)
    await _attach_new(tx, store, [made], skus, moment)
    return made


async def _attach_new(tx: Tx, store: Store, made: list[Asset], skus: list[str], moment: int) -> None:
    for asset in made if skus else []:
        await entitlements.attach(tx, store, asset.id, skus=skus, now=moment)


async def reach(session: Session, store: Store, assets: list[Asset]) -> None:
    """Grant assets to those who already bought. A job does the same, should this be cut short."""
    for asset in assets:
        after: int | None = 0
        while after is not None:
            after = await session.database.write(entitlements.reach_orders, store, asset.id, after, now())


async def _list(session: Session, text: str) -> list[dict[str, Any]]:
    store = await session.find_store(text)
    rows: list[dict[str, Any]] = []
    while page := await session.database.read(catalog.list_assets, store.id, len(rows), _PAGE):
        rows += map(describe, page)
    return rows


async def _set(session: Session, text: str, asset: str, words: list[tuple[str, str]]) -> dict[str, Any]:
    store = await session.find_store(text)
    found = await session.database.read(catalog.find_asset, store.id, asset)
    return describe(await session.database.write(catalog.set_limits, store.id, found.id, words))


async def _attach(session: Session, text: str, asset: str, places: Places) -> dict[str, Any]:
    store = await session.find_store(text)
    found = await session.database.read(catalog.find_asset, store.id, asset)
    attached, order_ids = await session.database.write(_attach_all, store, found, places, now())
    await reach(session, store, [found] if places.reaches_existing else [])
    return _document(found, attached, order_ids, is_attached=True)


async def _attach_all(tx: Tx, store: Store, asset: Asset, places: Places, moment: int) -> tuple[Attached, list[str]]:
    on_order = [await orders.find(tx, store.id, text) for text in places.orders]
    attached = await entitlements.attach(
        tx,
        store,
        asset.id,
        skus=places.skus,
        variant_ids=places.variant_ids,
        product_ids=places.product_ids,
        reaches_existing=places.reaches_existing,
        now=moment,
    )
    for order in on_order:
        await entitlements.attach_to_order(tx, store, order.id, [asset.id], moment)
    return attached, [order.uid for order in on_order]


async def _detach(session: Session, text: str, asset: str, places: Places) -> dict[str, Any]:
    store = await session.find_store(text)
    found = await session.database.read(catalog.find_asset, store.id, asset)
    detached, order_ids = await session.database.write(_detach_all, store, found, places, now())
    return _document(found, detached, order_ids, is_attached=False)


async def _detach_all(tx: Tx, store: Store, asset: Asset, places: Places, moment: int) -> tuple[Attached, list[str]]:
    on_order = [await orders.find(tx, store.id, text) for text in places.orders]
    detached = await entitlements.detach(
        tx,
        store,
        asset.id,
        skus=places.skus,
        variant_ids=places.variant_ids,
        product_ids=places.product_ids,
        revokes=places.revokes,
        now=moment,
    )
    for order in on_order:
        await entitlements.detach_from_order(tx, store, order.id, [asset.id], moment, revokes=places.revokes)
    return detached, [order.uid for order in on_order]


def _some(places: Places) -> Places:
    if not (places.skus or places.variant_ids or places.product_ids or places.orders):
        raise CycloptsError(msg="Name at least one --sku, --variant, --product or --order.")
    return places


def _document(asset: Asset, attached: Attached, order_ids: list[str], *, is_attached: bool) -> dict[str, Any]:
    return {
        "attached": is_attached,
        "asset_id": asset.uid,
        "product_ids": attached.product_ids,
        "variant_ids": attached.variant_ids,
        "order_ids": order_ids,
    }


def describe(asset: Asset) -> dict[str, Any]:
    """An asset as the command line shows it; the size is in bytes, None for a link."""
    return {
        "id": asset.uid,
        "filename": asset.filename,
        "size": asset.size_bytes,
        "is_file": not asset.is_link,
        "url": asset.link_url,
        "downloads": asset.downloads,
        "expires_days": asset.expires_days,
        "release_at": iso_or_none(asset.release_at),
        "created_at": iso_or_none(asset.created_at),
    }


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table(rows, _COLUMNS)


def _print_places(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_facts(document)
