"""Create the core: stores, keys, catalog, orders, grants, inbox, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "stores",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("webhook_secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("uninstalled_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("domain", name=op.f("uq_stores_domain")),
        sa.UniqueConstraint("uid", name=op.f("uq_stores_uid")),
    )
    op.create_table(
        "assets",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("is_link", sa.Boolean(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("size_text", sa.Text(), nullable=True),
        sa.Column("link_url", sa.Text(), nullable=True),
        sa.Column("downloads", sa.BigInteger(), nullable=True),
        sa.Column("expires_days", sa.BigInteger(), nullable=True),
        sa.Column("release_at", sa.BigInteger(), nullable=True),
        sa.Column("version_id", sa.BigInteger(), nullable=True),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_assets_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("uid", name=op.f("uq_assets_uid")),
    )
    op.create_index("ix_assets_store_id_id", "assets", ["store_id", "id"], unique=False)
    op.create_table(
        "edits",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_shopify_id", sa.BigInteger(), nullable=False),
        sa.Column("edited_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_edits_store_id_stores"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("store_id", "order_shopify_id", name=op.f("pk_edits")),
    )
    op.create_table(
        "inbox",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("api_version", sa.Text(), nullable=True),
        sa.Column("triggered_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("order_shopify_id", sa.BigInteger(), nullable=True),
        sa.Column("customer_digest", sa.LargeBinary(), nullable=True),
        sa.Column("email_digest", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_inbox_store_id_stores"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("store_id", "delivery_id", name=op.f("uq_inbox_store_id_delivery_id")),
    )
    op.create_index(
        "ix_inbox_parked",
        "inbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("outcome = 'parked'"),
        postgresql_where=sa.text("outcome = 'parked'"),
    )
    op.create_index("ix_inbox_received_at", "inbox", ["received_at"], unique=False)
    op.create_index("ix_inbox_store_id_customer_digest", "inbox", ["store_id", "customer_digest"], unique=False)
    op.create_index("ix_inbox_store_id_email_digest", "inbox", ["store_id", "email_digest"], unique=False)
    op.create_index("ix_inbox_store_id_order_shopify_id", "inbox", ["store_id", "order_shopify_id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("priority", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_jobs_store_id_stores"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["run_at", "id"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_index(
        "uq_jobs_dedupe_key",
        "jobs",
        ["dedupe_key"],
        unique=True,
        sqlite_where=sa.text("outcome IS NULL AND dedupe_key IS NOT NULL"),
        postgresql_where=sa.text("outcome IS NULL AND dedupe_key IS NOT NULL"),
    )
    op.create_table(
        "keys",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_keys_store_id_stores"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_keys_digest")),
        sa.UniqueConstraint("uid", name=op.f("uq_keys_uid")),
    )
    op.create_index("ix_keys_store_id", "keys", ["store_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("shopify_id", sa.BigInteger(), nullable=True),
        sa.Column("order_number", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("token_digest", sa.LargeBinary(), nullable=True),
        sa.Column("standing", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("ordered_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("triggered_at", sa.BigInteger(), nullable=False),
        sa.Column("standing_rank", sa.BigInteger(), nullable=False),
        sa.Column("lines_updated_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lines_triggered_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lines_standing_rank", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("own_downloads", sa.BigInteger(), nullable=True),
        sa.Column("own_addresses", sa.BigInteger(), nullable=True),
        sa.Column("own_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("own_release_at", sa.BigInteger(), nullable=True),
        sa.Column("address_limit", sa.BigInteger(), nullable=True),
        sa.Column("blocked_at", sa.BigInteger(), nullable=True),
        sa.Column("link_generation", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("person", sa.LargeBinary(), nullable=True),
        sa.Column("email_digest", sa.Text(), nullable=True),
        sa.Column("customer_digest", sa.Text(), nullable=True),
        sa.Column("redacted_at", sa.BigInteger(), nullable=True),
        sa.Column("risk_rank", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_orders_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("store_id", "shopify_id", name=op.f("uq_orders_store_id_shopify_id")),
        sa.UniqueConstraint("uid", name=op.f("uq_orders_uid")),
    )
    op.create_index("ix_orders_store_id_customer_digest", "orders", ["store_id", "customer_digest"], unique=False)
    op.create_index("ix_orders_store_id_email_digest", "orders", ["store_id", "email_digest"], unique=False)
    op.create_index("ix_orders_store_id_order_number", "orders", ["store_id", "order_number"], unique=False)
    op.create_index("ix_orders_token_digest", "orders", ["token_digest", "id"], unique=False)
    op.create_table(
        "products",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=True),
        sa.Column("variant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("variant_name", sa.Text(), nullable=True),
        sa.Column("sku", sa.Text(), nullable=True),
        sa.Column("vendor", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("is_synced", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_products_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("store_id", "variant_id", name=op.f("uq_products_store_id_variant_id")),
        sa.UniqueConstraint("uid", name=op.f("uq_products_uid")),
    )
    op.create_index("ix_products_store_id_product_id", "products", ["store_id", "product_id"], unique=False)
    op.create_index("ix_products_store_id_sku", "products", ["store_id", "sku"], unique=False)
    op.create_table(
        "redactions",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("redacted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_redactions_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "subject", name=op.f("pk_redactions")),
    )
    op.create_table(
        "refunds",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_shopify_id", sa.BigInteger(), nullable=False),
        sa.Column("refund_id", sa.BigInteger(), nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_refunds_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "order_shopify_id", "refund_id", "line_item_id", name=op.f("pk_refunds")),
    )
    op.create_table(
        "risks",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_shopify_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("risk_rank", sa.BigInteger(), nullable=False),
        sa.Column("assessed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_risks_store_id_stores"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("store_id", "order_shopify_id", "provider", name=op.f("pk_risks")),
    )
    op.create_table(
        "tombstones",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_shopify_id", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_tombstones_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", "order_shopify_id", name=op.f("pk_tombstones")),
    )
    op.create_table(
        "attachments",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("asset_id", ROW_ID, nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=True),
        sa.Column("variant_id", sa.BigInteger(), nullable=True),
        sa.Column("applies_from", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_attachments_asset_id_assets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_attachments_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    op.create_index("ix_attachments_store_id_product_id", "attachments", ["store_id", "product_id"], unique=False)
    op.create_index("ix_attachments_store_id_variant_id", "attachments", ["store_id", "variant_id"], unique=False)
    op.create_index(
        "uq_attachments_product",
        "attachments",
        ["asset_id", "product_id"],
        unique=True,
        sqlite_where=sa.text("variant_id IS NULL"),
        postgresql_where=sa.text("variant_id IS NULL"),
    )
    op.create_index(
        "uq_attachments_variant",
        "attachments",
        ["asset_id", "variant_id"],
        unique=True,
        sqlite_where=sa.text("variant_id IS NOT NULL"),
        postgresql_where=sa.text("variant_id IS NOT NULL"),
    )
    op.create_table(
        "lines",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("line_item_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=True),
        sa.Column("variant_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("current_quantity", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("triggered_at", sa.BigInteger(), nullable=False),
        sa.Column("standing_rank", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_lines_order_id_orders"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_lines_store_id_stores"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lines")),
        sa.UniqueConstraint("order_id", "line_item_id", name=op.f("uq_lines_order_id_line_item_id")),
    )
    op.create_index("ix_lines_store_id_product_id", "lines", ["store_id", "product_id"], unique=False)
    op.create_index("ix_lines_store_id_order_id", "lines", ["store_id", "order_id", "position"], unique=False)
    op.create_index("ix_lines_store_id_variant_id", "lines", ["store_id", "variant_id"], unique=False)
    op.create_table(
        "order_addresses",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("address_digest", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_addresses_order_id_orders"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_order_addresses_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("order_id", "address_digest", name=op.f("pk_order_addresses")),
    )
    op.create_table(
        "order_assets",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("asset_id", ROW_ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_order_assets_asset_id_assets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_order_assets_order_id_orders"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_order_assets_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_assets")),
        sa.UniqueConstraint("order_id", "asset_id", name=op.f("uq_order_assets_order_id_asset_id")),
    )
    op.create_table(
        "versions",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("asset_id", ROW_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("crc32", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_versions_asset_id_assets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_versions_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_versions")),
        sa.UniqueConstraint("asset_id", "number", name=op.f("uq_versions_asset_id_number")),
    )
    op.create_index("ix_versions_store_id_sha256", "versions", ["store_id", "sha256"], unique=False)
    op.create_table(
        "grants",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_id", ROW_ID, nullable=False),
        sa.Column("line_id", ROW_ID, nullable=True),
        sa.Column("asset_id", ROW_ID, nullable=False),
        sa.Column("used", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("base_downloads", sa.BigInteger(), nullable=True),
        sa.Column("is_per_unit", sa.Boolean(), nullable=False),
        sa.Column("base_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("base_release_at", sa.BigInteger(), nullable=True),
        sa.Column("own_downloads", sa.BigInteger(), nullable=True),
        sa.Column("own_expires_at", sa.BigInteger(), nullable=True),
        sa.Column("own_release_at", sa.BigInteger(), nullable=True),
        sa.Column("blocked_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_grants_asset_id_assets"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["line_id"], ["lines.id"], name=op.f("fk_grants_line_id_lines"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_grants_order_id_orders"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_grants_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint("uid", name=op.f("uq_grants_uid")),
    )
    op.create_index("ix_grants_order_id", "grants", ["order_id", "store_id"], unique=False)
    op.create_index("ix_grants_store_id_asset_id", "grants", ["store_id", "asset_id"], unique=False)
    op.create_index(
        "uq_grants_line",
        "grants",
        ["line_id", "asset_id"],
        unique=True,
        sqlite_where=sa.text("line_id IS NOT NULL"),
        postgresql_where=sa.text("line_id IS NOT NULL"),
    )
    op.create_index(
        "uq_grants_order",
        "grants",
        ["order_id", "asset_id"],
        unique=True,
        sqlite_where=sa.text("line_id IS NULL"),
        postgresql_where=sa.text("line_id IS NULL"),
    )
