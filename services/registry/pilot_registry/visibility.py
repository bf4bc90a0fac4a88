"""Who may see a version, and who may read its bytes. Deny what is not allowed here."""

from pilot_http.auth import Principal
from pilot_proto.manifest import Manifest
from sqlalchemy import ColumnElement, and_, false, or_, select, true

from pilot_registry.tables import GrantRow, Readable, Version


def private_to(manifest: Manifest) -> str | None:
    """The one client whose data a version may give away: an update's owner, or an output's single contributor."""
    if manifest.kind == "update":
        return manifest.client
    return manifest.contributors[0] if len(manifest.contributors) == 1 else None


def visible_to(principal: Principal) -> ColumnElement[bool]:
    """The versions whose existence a principal may know."""
    if principal.role in ("aggregator", "admin"):
        return true()
    if principal.role == "client":
        own = and_(Version.private_to == principal.client)
        return or_(own, and_(Version.kind != "update", Version.commit.in_(_handed_to(principal))))
    if principal.at_least("viewer"):
        return Version.private_to.is_(None)
    return false()


def may_read_bytes(principal: Principal, version: Version) -> bool:
    """Whether a principal who may see a version may also read its files: an admin may not, where it is private."""
    return version.private_to is None or principal.role in ("aggregator", "client")


def _handed_to(principal: Principal) -> ColumnElement[str]:
    """Commits that the method hands to a client, by the grants it has or had; a revoked one gives nothing."""
    grant = and_(GrantRow.uid == Readable.uid, GrantRow.number == Readable.number, GrantRow.client == Readable.client)
    handed = (
        select(Readable.commit)
        .join(GrantRow, grant)
        .where(Readable.client == principal.client, GrantRow.revoked_at.is_(None))
    )
    return handed.scalar_subquery()
