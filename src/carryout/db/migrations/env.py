"""Alembic's entry: the connection comes open, in a transaction, from `carryout.db.migrate`."""

from alembic import context

from carryout.db.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transactional_ddl=False,  # `carryout.db.migrate` holds the one transaction
)
context.run_migrations()
