"""Products, assets and attachments."""

import msgspec


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a shop says of one variant. `updated_at` is the shop's own time, microseconds UTC."""

    product_id: int | None
    variant_id: int
    name: str
    variant_name: str | None = None
    sku: str | None = None
    vendor: str | None = None
    tags: tuple[str, ...] = ()
    updated_at: int


class Product(msgspec.Struct, frozen=True):
    """One row per variant."""

    id: int
    uid: str
    product_id: int | None
    variant_id: int
    name: str
    variant_name: str | None
    sku: str | None
    vendor: str | None
    tags: tuple[str, ...]


class Asset(msgspec.Struct, frozen=True):
    """A file or a link that can be delivered; `downloads`, `expires_days` and `release_at` are its own limits.

    `size_text` and `size_bytes` are what is known of its size: of a link, and of a file whose bytes have not come yet,
    what the merchant says.
    """

    id: int
    uid: str
    is_link: bool
    filename: str
    size_text: str | None
    size_bytes: int | None
    link_url: str | None
    downloads: int | None
    expires_days: int | None
    release_at: int | None
    created_at: int


class NewAsset(msgspec.Struct, frozen=True, kw_only=True):
    """An asset to be inserted: a link with its target, or a file, whose bytes become its first version."""

    filename: str
    is_link: bool = False
    size_text: str | None = None
    stated_bytes: int | None = None
    link_url: str | None = None


class Attachment(msgspec.Struct, frozen=True):
    """An asset on a variant, or (without one) on all variants of a product, for orders from `applies_from` on."""

    asset_id: int
    product_id: int | None
    variant_id: int | None
    applies_from: int


class FileVersion(msgspec.Struct, frozen=True):
    """The bytes of one version of a file asset: where they are and what they must be."""

    id: int
    sha256: bytes
    crc32: int
    size_bytes: int
    completed_at: int


class AssetVersion(msgspec.Struct, frozen=True):
    """One version of a file asset as its owner sees it."""

    number: int
    sha256: bytes
    size_bytes: int
    completed_at: int


class ProductFilter(msgspec.Struct, frozen=True):
    """Which products a list is about; None asks for nothing. `name` may be a part of either name, in any case."""

    name: str | None = None
    sku: str | None = None
    product_id: int | None = None
    vendor: str | None = None
    tag: str | None = None


class Slice(msgspec.Struct, frozen=True):
    """Which part of a list, the oldest first: what comes after the row of this id, `offset` rows on."""

    after_id: int
    offset: int
    limit: int


class AssetPage(msgspec.Struct, frozen=True):
    """A part of the assets; `total` is None where it was not asked for, `products` are by the asset's id."""

    assets: list[Asset]
    total: int | None
    products: dict[int, list[Product]]


class ProductPage(msgspec.Struct, frozen=True):
    """A part of the products; `total` is None where it was not asked for, `assets` are by the product row's id."""

    products: list[Product]
    total: int | None
    assets: dict[int, list[Asset]]


class StatedSize(msgspec.Struct, frozen=True):
    """What somebody says of a size: in their words, and what those are in bytes, where they tell."""

    text: str | None
    size_bytes: int | None


class Place(msgspec.Struct, frozen=True):
    """Where an asset is attached: a variant, or (without one) all variants of a product; Shopify's ids."""

    product_id: int | None
    variant_id: int | None


class LimitFault(msgspec.Struct, frozen=True):
    """What is wrong with a limit that somebody wants to set."""

    must: str
