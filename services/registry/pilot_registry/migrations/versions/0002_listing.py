"""Indexes that have the whole answer to a listing.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LISTING = ["id", "run", "kind", "client", "task", "round", "private_to", "deleted_at", "repo", "commit"]


def upgrade() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index("ix_versions_listing", LISTING, unique=False)
        batch_op.create_index("ix_versions_runs", ["run", "private_to", "round", "created_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_index("ix_versions_runs")
        batch_op.drop_index("ix_versions_listing")
