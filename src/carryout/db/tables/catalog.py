"""Products (one row per variant), assets with their versions, and what is attached to what."""

from sqlalchemy import Boolean, Column, Index, LargeBinary, Table, Text, UniqueConstraint, text

from carryout.db.tables.columns import maybe_number, metadata, number, parent, row_id, store_id, uid

products = Table(
    "products",
    metadata,
    row_id(),
    uid(),
    store_id(),
    maybe_number("product_id"),
    number("variant_id"),
    Column("name", Text, nullable=False),
    Column("variant_name", Text),
    Column("sku", Text),
    Column("vendor", Text),
    Column("tags", Text, nullable=False),
    # False while all we know is what an order line said of the variant.
    Column("is_synced", Boolean, nullable=False),
    number("updated_at"),
    maybe_number("deleted_at"),
    UniqueConstraint("store_id", "variant_id"),
)
Index("ix_products_store_id_sku", products.c.store_id, products.c.sku)
Index("ix_products_store_id_product_id", products.c.store_id, products.c.product_id)
# Lists follow it, and their totals are read from it alone: hence the last column, which SQLite would look up else.
Index(
    "ix_products_listed",
    products.c.store_id,
    products.c.id,
    products.c.deleted_at,
    sqlite_where=text("deleted_at IS NULL"),
    postgresql_where=text("deleted_at IS NULL"),
)

assets = Table(
    "assets",
    metadata,
    row_id(),
    uid(),
    store_id(),
    Column("is_link", Boolean, nullable=False),
    Column("filename", Text, nullable=False),
    Column("size_text", Text),
    Column("link_url", Text),
    # What the merchant says of the size: of a link, or of a file whose bytes have not come yet.
    maybe_number("stated_bytes"),
    maybe_number("downloads"),
    maybe_number("expires_days"),
    maybe_number("release_at"),
    maybe_number("version_id"),
    maybe_number("removed_at"),
    number("created_at"),
)
Index("ix_assets_store_id_id", assets.c.store_id, assets.c.id)
Index(
    "ix_assets_listed",
    assets.c.store_id,
    assets.c.id,
    assets.c.removed_at,
    sqlite_where=text("removed_at IS NULL"),
    postgresql_where=text("removed_at IS NULL"),
)

versions = Table(
    "versions",
    metadata,
    row_id(),
    store_id(),
    parent("asset_id", "assets.id"),
    number("number"),
    Column("sha256", LargeBinary, nullable=False),
    number("crc32"),
    number("size_bytes"),
    number("completed_at"),
    UniqueConstraint("asset_id", "number"),
)
Index("ix_versions_store_id_sha256", versions.c.store_id, versions.c.sha256)

attachments = Table(
    "attachments",
    metadata,
    row_id(),
    store_id(),
    parent("asset_id", "assets.id"),
    maybe_number("product_id"),
    maybe_number("variant_id"),
    # Orders from this time on are granted the asset; 0 reaches every order that ever bought it.
    number("applies_from", default=0),
    number("created_at"),
)
Index("ix_attachments_store_id_variant_id", attachments.c.store_id, attachments.c.variant_id)
Index("ix_attachments_store_id_product_id", attachments.c.store_id, attachments.c.product_id)
Index(
    "uq_attachments_variant",
    attachments.c.asset_id,
    attachments.c.variant_id,
    unique=True,
    sqlite_where=text("variant_id IS NOT NULL"),
    postgresql_where=text("variant_id IS NOT NULL"),
)
Index(
    "uq_attachments_product",
    attachments.c.asset_id,
    attachments.c.product_id,
    unique=True,
    sqlite_where=text("variant_id IS NULL"),
    postgresql_where=text("variant_id IS NULL"),
)
