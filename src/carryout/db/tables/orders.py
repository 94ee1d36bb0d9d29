"""Orders and their lines, refunds, and what outlives an order: tombstones and redactions."""

from sqlalchemy import Column, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from carryout.db.tables.columns import maybe_number, metadata, number, parent, row_id, store_id, uid

orders = Table(
    "orders",
    metadata,
    row_id(),
    uid(),
    store_id(),
    maybe_number("shopify_id"),
    maybe_number("order_number"),
    Column("name", Text),
    Column("token_digest", LargeBinary),
    Column("standing", Text, nullable=False),
    Column("locale", Text),
    number("ordered_at"),
    # The stamp of the delivery that these facts come from: source time, trigger time, rank of its standing.
    number("updated_at"),
    number("triggered_at"),
    number("standing_rank"),
    # The stamp of the newest delivery that spoke of lines: of this or, where the newest left them out, an earlier one.
    number("lines_updated_at", default=0),
    number("lines_triggered_at", default=0),
    number("lines_standing_rank", default=0),
    # What the merchant set on this order; NULL leaves the snapshot of each grant, -1 says "no limit".
    maybe_number("own_downloads"),
    maybe_number("own_addresses"),
    maybe_number("own_expires_at"),
    maybe_number("own_release_at"),
    # The store's address limit when the order was first seen; NULL is no limit.
    maybe_number("address_limit"),
    maybe_number("blocked_at"),
    number("link_generation", default=1),
    Column("person", LargeBinary),
    Column("email_digest", Text),
    Column("customer_digest", Text),
    maybe_number("redacted_at"),
    # The worst risk of all assessments, as its rank: written by one statement from `risks`.
    number("risk_rank", default=0),
    number("created_at"),
    UniqueConstraint("store_id", "shopify_id"),
)
Index("ix_orders_token_digest", orders.c.token_digest, orders.c.id)
Index("ix_orders_store_id_order_number", orders.c.store_id, orders.c.order_number)
Index("ix_orders_store_id_email_digest", orders.c.store_id, orders.c.email_digest)
Index("ix_orders_store_id_customer_digest", orders.c.store_id, orders.c.customer_digest)

lines = Table(
    "lines",
    metadata,
    row_id(),
    store_id(),
    parent("order_id", "orders.id"),
    number("line_item_id"),
    number("position"),
    maybe_number("product_id"),
    maybe_number("variant_id"),
    Column("name", Text, nullable=False),
    number("quantity"),
    # What is left of the quantity by the newest payload that named the line; refunds are subtracted beside it.
    number("current_quantity"),
    # Of the quantity, after refunds and edits: written by one statement from the facts beside it (orders.store).
    number("remaining", default=0),
    # The stamp of the newest payload that named the line; older than the order's lines stamp: an edit removed it.
    number("updated_at"),
    number("triggered_at"),
    number("standing_rank"),
    UniqueConstraint("order_id", "line_item_id"),
)
# Both of the look-up's columns, so that the planner needs no statistics to choose it.
Index("ix_lines_store_id_order_id", lines.c.store_id, lines.c.order_id, lines.c.position)
Index("ix_lines_store_id_variant_id", lines.c.store_id, lines.c.variant_id)
Index("ix_lines_store_id_product_id", lines.c.store_id, lines.c.product_id)

# By Shopify's ids: a refund may arrive before its order.
refunds = Table(
    "refunds",
    metadata,
    store_id(),
    number("order_shopify_id"),
    number("refund_id"),
    number("line_item_id"),
    number("quantity"),
    PrimaryKeyConstraint("store_id", "order_shopify_id", "refund_id", "line_item_id"),
)

# By Shopify's order id, since an assessment may arrive before its order; one row a provider.
risks = Table(
    "risks",
    metadata,
    store_id(),
    number("order_shopify_id"),
    Column("provider", Text, nullable=False),
    number("risk_rank"),
    number("assessed_at"),
    PrimaryKeyConstraint("store_id", "order_shopify_id", "provider"),
)

# An edit carries no order: while it is newer than the order's own facts, the order must be fetched again.
edits = Table(
    "edits",
    metadata,
    store_id(),
    number("order_shopify_id"),
    number("edited_at"),
    PrimaryKeyConstraint("store_id", "order_shopify_id"),
)

tombstones = Table(
    "tombstones",
    metadata,
    store_id(),
    number("order_shopify_id"),
    number("deleted_at"),
    PrimaryKeyConstraint("store_id", "order_shopify_id"),
)

# Who asked to be forgotten: by order, by customer and by e-mail, each as a keyed digest in hex.
redactions = Table(
    "redactions",
    metadata,
    store_id(),
    Column("subject", Text, nullable=False),
    number("redacted_at"),
    PrimaryKeyConstraint("store_id", "subject"),
)
