"""The merchant API's doors of the catalog: assets and products, links made and assets changed (Fileflare API)."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from carryout.catalog import listing, rules, service
from carryout.catalog.model import Asset, ProductFilter, Slice
from carryout.catalog.shapes import asset_shape, product_shape, version_shape
from carryout.db import Database
from carryout.merchants.gate import Caller, Gate
from carryout.web.fields import Fields
from carryout.web.laravel import Paging, is_on, json_response, page_of
from carryout.web.routes import DeclaredRoute

_LIMITS: Final = {"downloads": rules.MAX_DOWNLOADS, "expires_days": rules.MAX_DAYS}


@dataclass(frozen=True)
class CatalogDoor:
    """Assets and products of the caller's store; what is another's is not found."""

    database: Database

    def routes(self, gate: Gate) -> list[DeclaredRoute]:
        """The routes, each behind the gate."""
        return [
            gate.route("/assets", self.list_assets, methods=["GET"], scope="read"),
            gate.route("/assets/store", self.store_link, methods=["POST"], scope="write"),
            gate.route("/assets/{id}", self.show_asset, methods=["GET"], scope="read"),
            gate.route("/assets/{id}", self.update_asset, methods=["PUT"], scope="write"),
            gate.route("/assets/{id}/versions", self.list_versions, methods=["GET"], scope="read"),
            gate.route("/products", self.list_products, methods=["GET"], scope="read"),
            gate.route("/products/{id}", self.show_product, methods=["GET"], scope="read"),
        ]

    async def list_assets(self, request: Request, caller: Caller) -> Response:
        """`GET /assets`: a page of them, the oldest first."""
        query, paging = request.query_params, caller.paging(request)
        with_products = is_on(query.get("with_products"))
        read = partial(listing.list_assets, with_total=paging.total is None, with_products=with_products)
        page = await self.database.sweep(read, caller.store.id, _given(query.get("filename")), _slice(paging))
        shown = [
            asset_shape(asset, is_old=caller.is_old, products=page.products[asset.id] if with_products else None)
            for asset in page.assets[: paging.size_rows]
        ]
        return _page(paging, shown, page.total, page.assets)

    async def show_asset(self, request: Request, caller: Caller) -> Response:
        """`GET /assets/{id}`. Errors: `AssetUnknown`."""
        asset = await self.database.read(service.find_asset, caller.store.id, request.path_params["id"])
        return _asset(caller, asset)

    async def store_link(self, _request: Request, caller: Caller) -> Response:
        """`POST /assets/store`: a link becomes an asset. Errors: `Invalid`, `LinkInvalid`, `FilenameInvalid`."""
        fields = caller.fields()
        name = fields.text("filename", required=True)
        size = _size(fields, required=True)
        url = _url(fields, required=True)
        fields.choice("type", ["link"])
        fields.check()
        return await caller.write(
            partial(_asset, caller, is_twice=True),
            service.add_link,
            caller.store.id,
            url,
            name,
            size["size_text"],
            caller.now,
            size["stated_bytes"],
        )

    async def update_asset(self, request: Request, caller: Caller) -> Response:
        """`PUT /assets/{id}`: what is named is changed; of a file its name and limits alone.

        Errors: `AssetUnknown`, `Invalid`, `LinkInvalid`, `FilenameInvalid`.
        """
        asset = await self.database.read(service.find_asset, caller.store.id, request.path_params["id"])
        values = _changes(caller.fields(), asset)
        return await caller.write(partial(_asset, caller), service.update_asset, caller.store.id, asset, values)

    async def list_versions(self, request: Request, caller: Caller) -> Response:
        """`GET /assets/{id}/versions`: the versions of a file, the newest first. Errors: `AssetUnknown`."""
        paging = caller.paging(request)
        read = partial(listing.list_versions_by_uid, with_total=paging.total is None)
        found, total = await self.database.read(read, caller.store.id, request.path_params["id"], _slice(paging))
        shown = [version_shape(version, is_old=caller.is_old) for version in found[: paging.size_rows]]
        last_key = (found[len(shown) - 1].number,) if shown else None
        known = total if total is not None else paging.total or 0
        return json_response(page_of(paging, shown, known, last_key, has_more=len(found) > paging.size_rows))

    async def list_products(self, request: Request, caller: Caller) -> Response:
        """`GET /products`: a page of them, one row per variant, the oldest first."""
        query, paging = request.query_params, caller.paging(request)
        with_assets = is_on(query.get("with_assets"))
        wanted = ProductFilter(
            name=_given(query.get("name")),
            sku=_given(query.get("sku")),
            product_id=_number(query.get("product_id")),
            vendor=_given(query.get("vendor")),
            tag=_given(query.get("tag")),
        )
        read = partial(listing.list_products, with_total=paging.total is None, with_assets=with_assets)
        page = await self.database.sweep(read, caller.store.id, wanted, _slice(paging))
        shown = [
            product_shape(each, is_old=caller.is_old, assets=page.assets[each.id] if with_assets else None)
            for each in page.products[: paging.size_rows]
        ]
        return _page(paging, shown, page.total, page.products)

    async def show_product(self, request: Request, caller: Caller) -> Response:
        """`GET /products/{id}`. Errors: `ProductUnknown`."""
        found = await self.database.read(listing.find_product_with_assets, caller.store.id, request.path_params["id"])
        product, assets = found
        shown = assets if is_on(request.query_params.get("with_assets")) else None
        return json_response({"data": product_shape(product, is_old=caller.is_old, assets=shown)})


def _asset(caller: Caller, asset: Asset, *, is_twice: bool = False) -> Response:
    """An asset; `is_twice` says it under the newer and the older name."""
    shape = asset_shape(asset, is_old=caller.is_old)
    return json_response({"data": shape, "asset": shape} if is_twice else {"data": shape})


def _slice(paging: Paging) -> Slice:
    return Slice(paging.after[0] if paging.after else 0, paging.offset, paging.rows)


def _page(paging: Paging, shown: list[dict[str, Any]], total: int | None, rows: list[Any]) -> Response:
    last_key = (rows[len(shown) - 1].id,) if shown else None
    known = total if total is not None else paging.total or 0
    return json_response(page_of(paging, shown, known, last_key, has_more=len(rows) > paging.size_rows))


def _given(text: str | None) -> str | None:
    """A filter's text; what cannot be stored is found nowhere, as itself or without what cannot."""
    return None if text is None or not text.strip() else rules.shown_text(text).strip()


def _number(text: str | None) -> int | None:
    """A filter's number; what is none is nobody's."""
    if text is None or not text.strip():
        return None
    number = rules.number_in(text.strip())
    return -1 if number is None else number


def _changes(fields: Fields, asset: Asset) -> dict[str, str | int | None]:
    """What a body changes of an asset, by column. Errors: `Invalid`."""
    values: dict[str, str | int | None] = {}
    if fields.has("filename") or not any(map(fields.has, ("size", "url", "limits"))):
        values["filename"] = fields.text("filename", required=True)
    if asset.is_link and fields.has("size"):
        values |= _size(fields, required=True)
    if asset.is_link and fields.has("url"):
        values["link_url"] = _url(fields, required=True)
    limits = fields.inner("limits")
    for name, most in _LIMITS.items():
        if limits.has(name):
            values[name] = limits.integer(name, most=most)
    if limits.has("release_at"):
        values["release_at"] = limits.moment("release_at")
    fields.check()
    return values


def _url(fields: Fields, *, required: bool) -> str | None:
    url = fields.text("url", required=required, most=rules.MAX_URL_LENGTH)
    if url is not None and not rules.is_link(url):
        fields.fail("url", "The {field} field must be a valid URL.")
    return url


def _size(fields: Fields, *, required: bool) -> dict[str, str | int | None]:
    """The columns of a size, of either dialect."""
    value = fields.value("size", required=required)
    size = rules.stated_size(value) if isinstance(value, str) else None
    if size is None and value is not None:
        number = fields.integer("size")
        size = None if number is None else rules.stated_size(number)
    return {"size_text": size.text if size else None, "stated_bytes": size.size_bytes if size else None}
