"""Stores, their API keys, and what the merchant API remembers of each key's calls."""

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from carryout.db.tables.columns import maybe_number, metadata, number, parent, row_id, store_id, uid

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

# How many requests a key has made in its current minute, which begins with the first of them.
api_rates = Table(
    "api_rates",
    metadata,
    store_id(),
    parent("key_id", "keys.id"),
    Column("bucket", Text, nullable=False),
    number("began_at"),
    number("requests"),
    PrimaryKeyConstraint("key_id", "bucket"),
)
Index("ix_api_rates_store_id", api_rates.c.store_id)

# Calls that carried an Idempotency-Key, with their sealed replies; a row is written with the effect that it stands for.
api_calls = Table(
    "api_calls",
    metadata,
    row_id(),
    store_id(),
    parent("key_id", "keys.id"),
    Column("name_digest", LargeBinary, nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("reply", LargeBinary),
    number("created_at"),
    UniqueConstraint("key_id", "name_digest"),
)
Index("ix_api_calls_store_id", api_calls.c.store_id)
Index("ix_api_calls_created_at", api_calls.c.created_at)
