"""Alembic's entry: the connection comes from `migrations.upgrade`."""

from alembic import context

from pilot_registry.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
