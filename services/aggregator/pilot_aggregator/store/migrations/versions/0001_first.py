"""The first schema."""

from alembic import op
from pilot_aggregator.store.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Until the first release the tables may still change; from then on migrations spell out their own columns.
    metadata.create_all(op.get_bind())
