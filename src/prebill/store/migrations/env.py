"""How Alembic runs a revision: on the connection, and in the transaction, of `schema.upgrade`."""

from alembic import context

from prebill.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    # SQLite can't alter most of a column: Alembic then copies the table.
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
