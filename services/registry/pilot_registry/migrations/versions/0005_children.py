"""Indexes that find versions by their commits, a version's children, and the grants that name it.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index("ix_versions_commit", ["commit", "repo"], unique=False)
    with op.batch_alter_table("edges", schema=None) as batch_op:
        batch_op.create_index("ix_edges_parent", ["parent_commit", "parent_repo"], unique=False)
    with op.batch_alter_table("readable", schema=None) as batch_op:
        batch_op.create_index("ix_readable_commit", ["commit"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("readable", schema=None) as batch_op:
        batch_op.drop_index("ix_readable_commit")
    with op.batch_alter_table("edges", schema=None) as batch_op:
        batch_op.drop_index("ix_edges_parent")
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_index("ix_versions_commit")
