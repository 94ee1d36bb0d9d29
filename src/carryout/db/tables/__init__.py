"""The tables, one module a room. A table is written by its own room's store alone.

Ids are 64-bit integers inside and UUIDv7 (`uid`) outside; times are microseconds UTC; JSON is text; what is personal or
secret is sealed bytes or a digest. Every table but `stores` carries `store_id`; it leads every index of a big table.
"""

from carryout.db.tables.catalog import assets, attachments, products, versions
from carryout.db.tables.columns import metadata
from carryout.db.tables.entitlements import grants, order_addresses, order_assets
from carryout.db.tables.evidence import event_chains, events
from carryout.db.tables.jobs import jobs
from carryout.db.tables.merchants import api_calls, api_rates, keys, stores
from carryout.db.tables.orders import edits, lines, orders, redactions, refunds, risks, tombstones
from carryout.db.tables.sessions import session_parts, sessions
from carryout.db.tables.shopify import inbox

__all__ = [
    "api_calls",
    "api_rates",
    "assets",
    "attachments",
    "edits",
    "event_chains",
    "events",
    "grants",
    "inbox",
    "jobs",
    "keys",
    "lines",
    "metadata",
    "order_addresses",
    "order_assets",
    "orders",
    "products",
    "redactions",
    "refunds",
    "risks",
    "session_parts",
    "sessions",
    "stores",
    "tombstones",
    "versions",
]
