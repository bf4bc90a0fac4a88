"""The first schema."""

import sqlalchemy as sa
from alembic import op
from pilot_disk.columns import Words

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "aliases",
        sa.Column("repo", Words(), nullable=False),
        sa.Column("alias", Words(), nullable=False),
        sa.Column("commit", Words(), nullable=False),
        sa.Column("moved_at", Words(), nullable=False),
        sa.Column("moved_by", Words(), nullable=False),
        sa.PrimaryKeyConstraint("repo", "alias"),
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", Words(), nullable=False),
        sa.Column("by", Words(), nullable=False),
        sa.Column("action", Words(), nullable=False),
        sa.Column("object", Words(), nullable=False),
        sa.Column("detail", Words(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", Words(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("norm", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "grants",
        sa.Column("uid", Words(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("client", Words(), nullable=False),
        sa.Column("document", Words(), nullable=False),
        sa.Column("revoked_at", Words(), nullable=True),
        sa.PrimaryKeyConstraint("uid", "number", "client"),
    )
    journal_head = op.create_table(
        "journal_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(journal_head, [{"id": 1, "last": 0}])
    op.create_table(
        "namespaces",
        sa.Column("run", Words(), nullable=False),
        sa.Column("uid", Words(), nullable=False),
        sa.PrimaryKeyConstraint("run"),
        sa.UniqueConstraint("uid"),
    )
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", Words(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "possessions",
        sa.Column("principal", Words(), nullable=False),
        sa.Column("uid", Words(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", Words(), nullable=False),
        sa.Column("kind", Words(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "uid", "number", "digest", "kind"),
    )
    with op.batch_alter_table("possessions", schema=None) as batch_op:
        batch_op.create_index("ix_possessions_digest", ["digest"], unique=False)

    op.create_table(
        "readable",
        sa.Column("uid", Words(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("client", Words(), nullable=False),
        sa.Column("commit", Words(), nullable=False),
        sa.PrimaryKeyConstraint("uid", "number", "client", "commit"),
    )
    with op.batch_alter_table("readable", schema=None) as batch_op:
        batch_op.create_index("ix_readable_client_commit", ["client", "commit"], unique=False)

    op.create_table(
        "rejections",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("uid", Words(), nullable=False),
        sa.Column("run", Words(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("client", Words(), nullable=False),
        sa.Column("code", Words(), nullable=False),
        sa.Column("message", Words(), nullable=False),
        sa.Column("at", Words(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("rejections", schema=None) as batch_op:
        batch_op.create_index("ix_rejections_place", ["uid", "number"], unique=False)

    op.create_table(
        "rounds",
        sa.Column("uid", Words(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("run", Words(), nullable=False),
        sa.Column("sealed", Words(), nullable=True),
        sa.Column("publication", Words(), nullable=True),
        sa.Column("plan", Words(), nullable=True),
        sa.Column("ledger", Words(), nullable=True),
        sa.PrimaryKeyConstraint("uid", "number"),
    )
    op.create_table(
        "versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("repo", Words(), nullable=False),
        sa.Column("commit", Words(), nullable=False),
        sa.Column("uid", Words(), nullable=True),
        sa.Column("run", Words(), nullable=False),
        sa.Column("kind", Words(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("client", Words(), nullable=True),
        sa.Column("task", Words(), nullable=True),
        sa.Column("private_to", Words(), nullable=True),
        sa.Column("manifest", Words(), nullable=False),
        sa.Column("created_at", Words(), nullable=False),
        sa.Column("deleted_at", Words(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("repo", "commit"),
    )
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index("ix_versions_place", ["uid", "round", "kind", "client"], unique=False)
        batch_op.create_index("ix_versions_search", ["run", "kind", "client", "round"], unique=False)

    op.create_table(
        "edges",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("parent_repo", Words(), nullable=False),
        sa.Column("parent_commit", Words(), nullable=False),
        sa.Column("coefficient", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version_id", "position"),
    )
    op.create_table(
        "version_files",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("path", Words(), nullable=False),
        sa.Column("digest", Words(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("version_id", "path"),
    )
    with op.batch_alter_table("version_files", schema=None) as batch_op:
        batch_op.create_index("ix_version_files_digest", ["digest"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("version_files", schema=None) as batch_op:
        batch_op.drop_index("ix_version_files_digest")

    op.drop_table("version_files")
    op.drop_table("edges")
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_index("ix_versions_search")
        batch_op.drop_index("ix_versions_place")

    op.drop_table("versions")
    op.drop_table("rounds")
    with op.batch_alter_table("rejections", schema=None) as batch_op:
        batch_op.drop_index("ix_rejections_place")

    op.drop_table("rejections")
    with op.batch_alter_table("readable", schema=None) as batch_op:
        batch_op.drop_index("ix_readable_client_commit")

    op.drop_table("readable")
    with op.batch_alter_table("possessions", schema=None) as batch_op:
        batch_op.drop_index("ix_possessions_digest")

    op.drop_table("possessions")
    op.drop_table("outbox")
    op.drop_table("namespaces")
    op.drop_table("journal_head")
    op.drop_table("grants")
    op.drop_table("blobs")
    op.drop_table("audit")
    op.drop_table("aliases")
