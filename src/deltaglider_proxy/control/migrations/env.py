"""Alembic's entry: runs the steps on the connection that it is given, inside the caller's transaction."""

from alembic import context

from deltaglider_proxy.control import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
