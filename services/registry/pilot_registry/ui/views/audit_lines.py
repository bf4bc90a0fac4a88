"""An entry of the audit on one line, with the page of what was touched."""

from pilot_proto.base import Stored
from pilot_proto.registry import AuditEntry

from pilot_registry.catalog import COMMIT_PATTERN


class AuditLine(Stored):
    entry: AuditEntry
    url: str = ""
    """Empty where no page shows it."""
    commit: bool = False
    """Whether the detail is one."""


def audit_line(entry: AuditEntry) -> AuditLine:
    return AuditLine(
        entry=entry,
        url=place_of(entry.action, entry.object),
        commit=COMMIT_PATTERN.match(entry.detail) is not None,
    )


def place_of(action: str, touched: str) -> str:
    """The page of what an entry speaks of: a run, a round (`run/3`, `run/3/client`), `repo` or `repo@alias`."""
    first, _, rest = touched.partition("/")
    second = rest.partition("/")[0]
    if not rest:
        return f"/ui/runs/{first}" if first else ""
    if second.isdigit() and action != "released":
        return f"/ui/runs/{first}/rounds/{second}"
    repo, _, alias = touched.partition("@")
    return f"/ui/adapters/{repo}?rev={alias}" if alias else f"/ui/adapters/{repo}"
