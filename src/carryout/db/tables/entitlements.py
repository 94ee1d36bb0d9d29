"""Grants, the assets attached to orders, and the addresses that used an order."""

from sqlalchemy import Boolean, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, UniqueConstraint, text

from carryout.db.tables.columns import maybe_number, metadata, number, parent, row_id, store_id, uid

grants = Table(
    "grants",
    metadata,
    row_id(),
    uid(),
    store_id(),
    parent("order_id", "orders.id"),
    parent("line_id", "lines.id", nullable=True),
    parent("asset_id", "assets.id"),
    number("used", default=0),
    # What downloads sent that gave their use back; each time it comes to the file's size, a use is spent for it.
    number("undelivered_bytes", default=0),
    # The snapshot of the terms when the grant was made; NULL is no limit.
    maybe_number("base_downloads"),
    Column("is_per_unit", Boolean, nullable=False),
    maybe_number("base_expires_at"),
    maybe_number("base_release_at"),
    # What the merchant set on this grant; NULL leaves order and snapshot, -1 says "no limit".
    maybe_number("own_downloads"),
    maybe_number("own_expires_at"),
    maybe_number("own_release_at"),
    maybe_number("blocked_at"),
    maybe_number("revoked_at"),
    number("created_at"),
)
# The order first: deleting an order looks its grants up by it alone.
Index("ix_grants_order_id", grants.c.order_id, grants.c.store_id)
Index("ix_grants_store_id_asset_id", grants.c.store_id, grants.c.asset_id)
Index(
    "uq_grants_line",
    grants.c.line_id,
    grants.c.asset_id,
    unique=True,
    sqlite_where=text("line_id IS NOT NULL"),
    postgresql_where=text("line_id IS NOT NULL"),
)
Index(
    "uq_grants_order",
    grants.c.order_id,
    grants.c.asset_id,
    unique=True,
    sqlite_where=text("line_id IS NULL"),
    postgresql_where=text("line_id IS NULL"),
)

order_assets = Table(
    "order_assets",
    metadata,
    row_id(),
    store_id(),
    parent("order_id", "orders.id"),
    parent("asset_id", "assets.id"),
    number("created_at"),
    UniqueConstraint("order_id", "asset_id"),
)

order_addresses = Table(
    "order_addresses",
    metadata,
    store_id(),
    parent("order_id", "orders.id"),
    Column("address_digest", LargeBinary, nullable=False),
    number("first_seen_at"),
    PrimaryKeyConstraint("order_id", "address_digest"),
)
