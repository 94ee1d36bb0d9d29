"""What happened, written once: events, and the head of each store's chain of them."""

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from carryout.db.tables.columns import maybe_number, metadata, number, row_id, store_id, uid

# An event outlives its order, its grant and its asset: it names them, and refers to none.
events = Table(
    "events",
    metadata,
    row_id(),
    uid(),
    store_id(),
    maybe_number("order_id"),
    Column("order_uid", Text),
    Column("grant_uid", Text),
    Column("asset_uid", Text),
    Column("type", Text, nullable=False),
    number("created_at"),
    Column("detail", Text, nullable=False),
    # Who: a keyed digest of the address, the sealed user agent, and the salt of their digest. A redaction empties all
    # three; the chain holds the digest alone.
    Column("address_digest", LargeBinary),
    Column("user_agent", LargeBinary),
    Column("salt", LargeBinary),
    Column("person_digest", LargeBinary),
    # NULL until it is chained.
    maybe_number("chained_at"),
    Column("key_id", LargeBinary),
    Column("mac", LargeBinary),
    # An id is never given twice, also when the newest rows are gone: chain and cursors go by it.
    sqlite_autoincrement=True,
)
Index("ix_events_store_id_id", events.c.store_id, events.c.id)
Index("ix_events_store_id_order_id", events.c.store_id, events.c.order_id, events.c.id)
Index(
    "ix_events_unchained",
    events.c.store_id,
    events.c.id,
    sqlite_where=text("mac IS NULL"),
    postgresql_where=text("mac IS NULL"),
)

# Where a store's chain begins (after what was pruned) and ends, so that cutting either end is found.
event_chains = Table(
    "event_chains",
    metadata,
    store_id(),
    number("anchor_event_id"),
    Column("anchor_mac", LargeBinary, nullable=False),
    number("head_event_id"),
    Column("head_mac", LargeBinary, nullable=False),
    number("length"),
    Column("key_id", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    PrimaryKeyConstraint("store_id"),
)
