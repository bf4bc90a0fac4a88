"""What each client has done in each run, and indexes for what people ask of the audit and of a client's rejections.

Revision ID: 0003
Revises: 0002
"""

import json

import sqlalchemy as sa
from alembic import op
from pilot_disk.columns import Words

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

PREPARER = "base"


def upgrade() -> None:
    made = op.create_table(
        "participations",
        sa.Column("client", Words(), nullable=False),
        sa.Column("uid", Words(), nullable=False),
        sa.Column("run", Words(), nullable=False),
        sa.Column("task", Words(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", Words(), nullable=True),
        sa.PrimaryKeyConstraint("client", "uid"),
    )
    with op.batch_alter_table("participations", schema=None) as batch_op:
        batch_op.create_index("ix_participations_order", ["client", "sequence"], unique=False)
        summed = ["client", "task", "asked", "answered", "sent", "answered_at"]
        batch_op.create_index("ix_participations_sums", summed, unique=False)
    with op.batch_alter_table("rejections", schema=None) as batch_op:
        batch_op.create_index("ix_rejections_client", ["client", "sequence"], unique=False)
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index("ix_audit_action", ["action", "sequence", "by"], unique=False)
        batch_op.create_index("ix_audit_by", ["by", "sequence", "action"], unique=False)
        batch_op.create_index("ix_audit_object", ["object", "sequence"], unique=False)
    if rows := _so_far(op.get_bind()):
        op.bulk_insert(made, rows)


def downgrade() -> None:
    with op.batch_alter_table("audit", schema=None) as batch_op:
        for column in ("object", "by", "action"):
            batch_op.drop_index(f"ix_audit_{column}")
    with op.batch_alter_table("rejections", schema=None) as batch_op:
        batch_op.drop_index("ix_rejections_client")
    op.drop_table("participations")


def _so_far(connection: sa.Connection) -> list[dict[str, object]]:
    """What the rows that are here add up to."""
    asked = connection.execute(
        sa.text(
            "SELECT g.client, g.uid, r.run, MAX(g.document), MIN(a.sequence), COUNT(*) FROM grants g"
            " JOIN rounds r ON r.uid = g.uid AND r.number = g.number"
            " JOIN audit a ON a.action = 'granted'"
            " AND a.object = r.run || '/' || CAST(g.number AS TEXT) || '/' || g.client"
            " WHERE g.client <> :preparer GROUP BY g.client, g.uid, r.run"
        ),
        {"preparer": PREPARER},
    )
    answered = connection.execute(
        sa.text(
            "SELECT v.client, v.uid, COUNT(DISTINCT v.id), SUM(f.size), MAX(v.created_at) FROM versions v"
            " JOIN version_files f ON f.version_id = v.id WHERE v.kind = 'update' GROUP BY v.client, v.uid"
        )
    )
    known = {(client, uid): more for client, uid, *more in answered}
    rows = []
    for client, uid, run, document, sequence, count in asked:
        number, sent, at = known.get((client, uid), (0, 0, None))
        row = {"client": client, "uid": uid, "run": run, "task": json.loads(document).get("task", "")}
        rows.append(
            {**row, "sequence": sequence, "asked": count, "answered": number, "sent": int(sent), "answered_at": at}
        )
    return rows
