"""Stores and their API keys."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text

from carryout.db.tables.columns import maybe_number, metadata, number, row_id, store_id, uid

stores = Table(
    "stores",
    metadata,
    row_id(),
    uid(),
    Column("name", Text, nullable=False),
    Column("domain", Text, nullable=False, unique=True),
    Column("plan", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("webhook_secret", LargeBinary, nullable=False),
    # The one before it, which Shopify may still sign with for a while after a rotation.
    Column("previous_secret", LargeBinary),
    maybe_number("previous_until"),
    maybe_number("uninstalled_at"),
    number("created_at"),
)

keys = Table(
    "keys",
    metadata,
    row_id(),
    uid(),
    store_id(),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("dialect", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    maybe_number("expires_at"),
    maybe_number("revoked_at"),
    maybe_number("last_used_at"),
    number("created_at"),
)
Index("ix_keys_store_id", keys.c.store_id)
