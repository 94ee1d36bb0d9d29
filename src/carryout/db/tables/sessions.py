"""Downloads that were opened, and what of each file they have delivered."""

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from carryout.db.tables.columns import maybe_number, metadata, number, parent, row_id, store_id

sessions = Table(
    "sessions",
    metadata,
    row_id(),
    store_id(),
    parent("order_id", "orders.id"),
    Column("kind", Text, nullable=False),
    Column("delivery", Text, nullable=False),
    number("link_generation"),
    # Who opened it: the keyed digest of an address, by which it is joined, and the sealed user agent. Both go when it
    # ends, and when their person is redacted.
    Column("address_digest", LargeBinary),
    Column("user_agent", LargeBinary),
    number("opened_at"),
    number("ends_at"),
    number("active_at"),
    maybe_number("ended_at"),
    # The `links.txt` of a ZIP, sealed: it holds working links.
    Column("links", LargeBinary),
    # A ticket names it: an id that was pruned is never given again.
    sqlite_autoincrement=True,
)
# The order first: deleting an order looks its sessions up by it alone.
Index("ix_sessions_order_id", sessions.c.order_id, sessions.c.store_id)
Index(
    "ix_sessions_open",
    sessions.c.ends_at,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)
Index("ix_sessions_ended_at", sessions.c.ended_at)

# One row a member of a ZIP; a file and a link are one member. It pins the version that the session began.
session_parts = Table(
    "session_parts",
    metadata,
    parent("session_id", "sessions.id"),
    number("position"),
    store_id(),
    parent("grant_id", "grants.id"),
    Column("grant_uid", Text, nullable=False),
    Column("asset_uid", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("sha256", LargeBinary),
    maybe_number("crc32"),
    number("size_bytes"),
    maybe_number("modified_at"),
    number("budget_bytes"),
    number("sent_bytes"),
    # JSON: sorted, disjoint intervals.
    Column("delivered", Text, nullable=False),
    maybe_number("completed_at"),
    Column("outcome", Text),
    PrimaryKeyConstraint("session_id", "position"),
)
# The grant first: it goes with its sessions.
Index("ix_session_parts_grant_id", session_parts.c.grant_id, session_parts.c.store_id)
