"""The queue: one row a job, inserted by the transaction that causes it."""

from sqlalchemy import Column, Index, Table, Text, text

from carryout.db.tables.columns import maybe_number, metadata, number, parent, row_id

jobs = Table(
    "jobs",
    metadata,
    row_id(),
    parent("store_id", "stores.id", nullable=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    number("run_at"),
    number("priority", default=0),
    number("attempts", default=0),
    maybe_number("lease_until"),
    Column("lease_owner", Text),
    Column("dedupe_key", Text),
    # NULL while it waits or runs; `done`, `dead` or `cancelled` afterwards.
    Column("outcome", Text),
    Column("error", Text),
    number("created_at"),
    maybe_number("finished_at"),
)
Index(
    "ix_jobs_waiting",
    jobs.c.run_at,
    jobs.c.id,
    sqlite_where=text("outcome IS NULL"),
    postgresql_where=text("outcome IS NULL"),
)
Index(
    "uq_jobs_dedupe_key",
    jobs.c.dedupe_key,
    unique=True,
    sqlite_where=text("outcome IS NULL AND dedupe_key IS NOT NULL"),
    postgresql_where=text("outcome IS NULL AND dedupe_key IS NOT NULL"),
)
