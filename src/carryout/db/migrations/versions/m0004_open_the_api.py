"""The merchant API: rates and calls of its keys, what is said of a size, and indexes for its lists."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("assets") as assets:
        assets.add_column(sa.Column("stated_bytes", sa.BigInteger(), nullable=True))
    for table, gone in (("assets", "removed_at"), ("products", "deleted_at")):
        op.create_index(
            f"ix_{table}_listed",
            table,
            ["store_id", "id", gone],
            unique=False,
            sqlite_where=sa.text(f"{gone} IS NULL"),
            postgresql_where=sa.text(f"{gone} IS NULL"),
        )
    _create_rates()
    _create_calls()


def _create_rates() -> None:
    op.create_table(
        "api_rates",
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("key_id", ROW_ID, nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_api_rates_store_id_stores"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_api_rates_key_id_keys"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key_id", "bucket", name=op.f("pk_api_rates")),
    )
    op.create_index("ix_api_rates_store_id", "api_rates", ["store_id"], unique=False)


def _create_calls() -> None:
    op.create_table(
        "api_calls",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("store_id", ROW_ID, nullable=False),
        sa.Column("key_id", ROW_ID, nullable=False),
        sa.Column("name_digest", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["store_id"], ["stores.id"], name=op.f("fk_api_calls_store_id_stores"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_api_calls_key_id_keys"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_calls")),
        sa.UniqueConstraint("key_id", "name_digest", name=op.f("uq_api_calls_key_id_name_digest")),
    )
    op.create_index("ix_api_calls_store_id", "api_calls", ["store_id"], unique=False)
    op.create_index("ix_api_calls_created_at", "api_calls", ["created_at"], unique=False)
