"""Indexes for what happened to one thing, and for what was refused.

Revision ID: 0004
Revises: 0002
"""

from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_audit_action", "audit", ["action", "sequence", "by"]),
    ("ix_audit_by", "audit", ["by", "sequence", "action"]),
    ("ix_audit_object", "audit", ["object", "sequence"]),
    ("ix_rejections_run", "rejections", ["run", "sequence"]),
    ("ix_rejections_client", "rejections", ["client", "sequence"]),
    ("ix_rejections_code", "rejections", ["code", "sequence"]),
)


def upgrade() -> None:
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns, unique=False)


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
