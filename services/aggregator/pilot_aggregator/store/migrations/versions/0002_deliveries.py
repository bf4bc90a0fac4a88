"""What the deployment's webhook is to be told."""

from alembic import op
from pilot_aggregator.store.tables import metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A database that begins now has had the table from 0001.
    metadata.tables["deliveries"].create(op.get_bind(), checkfirst=True)
