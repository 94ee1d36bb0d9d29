"""Record the evidence: events, and the head of each store's chain."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=True),
        sa.Column("order_uid", sa.Text(), nullable=True),
        sa.Column("grant_uid", sa.Text(), nullable=True),
        sa.Column("asset_uid", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("address_digest", sa.LargeBinary(), nullable=True),
        sa.Column("user_agent", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("person_digest", sa.LargeBinary(), nullable=True),
        sa.Column("chained_at", sa.BigInteger(), nullable=True),
        sa.Column("key_id", sa.LargeBinary(), nullable=True),
        sa.Column("mac", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_events_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("uid", name=op.f("uq_events_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_store_id_id", "events", ["store_id", "id"], unique=False)
    op.create_index("ix_events_store_id_order_id", "events", ["store_id", "order_id", "id"], unique=False)
    op.create_index(
        "ix_events_unchained",
        "events",
        ["store_id", "id"],
        unique=False,
        sqlite_where=sa.text("mac IS NULL"),
        postgresql_where=sa.text("mac IS NULL"),
    )
    op.create_table(
        "event_chains",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("anchor_event_id", sa.BigInteger(), nullable=False),
        sa.Column("anchor_mac", sa.LargeBinary(), nullable=False),
        sa.Column("head_event_id", sa.BigInteger(), nullable=False),
        sa.Column("head_mac", sa.LargeBinary(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_event_chains_store_id_stores"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("store_id", name=op.f("pk_event_chains")),
    )
