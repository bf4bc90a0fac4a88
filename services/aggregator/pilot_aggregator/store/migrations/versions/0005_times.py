"""How long a trainer took for what, and who gave a verdict when."""

import sqlalchemy as sa
from alembic import op
from pilot_aggregator.store.tables import metadata

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADDED = (("attempts", "timings"), ("assignments", "verdict_by"), ("assignments", "verdict_at"))


def upgrade() -> None:
    known = sa.inspect(op.get_bind())
    for table, name in ADDED:
        # A database that begins now has had the column from 0001.
        if name not in {column["name"] for column in known.get_columns(table)}:
            op.add_column(table, sa.Column(name, metadata.tables[table].c[name].type, nullable=True))
