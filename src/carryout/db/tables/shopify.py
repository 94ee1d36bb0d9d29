"""The inbox: every delivery of Shopify's, whole, before anything is made of it."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text, UniqueConstraint, text

from carryout.db.tables.columns import maybe_number, metadata, number, row_id, store_id

inbox = Table(
    "inbox",
    metadata,
    row_id(),
    store_id(),
    Column("delivery_id", Text, nullable=False),
    Column("event_id", Text),
    Column("topic", Text, nullable=False),
    Column("api_version", Text),
    number("triggered_at"),
    number("received_at"),
    # Sealed; NULL once it was applied long ago, or once its person was redacted.
    Column("body", LargeBinary),
    # Whom and what it is about, so that a redaction finds it.
    maybe_number("order_shopify_id"),
    Column("customer_digest", LargeBinary),
    Column("email_digest", LargeBinary),
    # `applied`, `ignored` or `parked`.
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    UniqueConstraint("store_id", "delivery_id"),
)
Index("ix_inbox_store_id_order_shopify_id", inbox.c.store_id, inbox.c.order_shopify_id)
Index("ix_inbox_store_id_customer_digest", inbox.c.store_id, inbox.c.customer_digest)
Index("ix_inbox_store_id_email_digest", inbox.c.store_id, inbox.c.email_digest)
Index("ix_inbox_received_at", inbox.c.received_at)
Index(
    "ix_inbox_parked", inbox.c.id, sqlite_where=text("outcome = 'parked'"), postgresql_where=text("outcome = 'parked'")
)
