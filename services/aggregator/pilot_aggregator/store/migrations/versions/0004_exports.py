"""Jobs that make clients' personal models."""

from alembic import op
from pilot_aggregator.store.tables import metadata

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A database that begins now has had the table from 0001.
    metadata.tables["exports"].create(op.get_bind(), checkfirst=True)
