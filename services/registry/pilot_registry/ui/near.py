"""What somebody may have meant who asked for a page that is not there."""

import difflib
from collections.abc import Sequence

from fastapi import Request
from pilot_http.auth import Principal
from sqlalchemy import select

from pilot_registry import clients
from pilot_registry.context import Registry, registry_of
from pilot_registry.tables import Version
from pilot_registry.ui.page import Crumb
from pilot_registry.visibility import visible_to

MOST = 5
LIKENESS = 0.5


def near_names(request: Request) -> tuple[Crumb, ...]:
    """Links to what looks like the wanted thing and may be seen by whoever asks."""
    wanted = request.path_params
    registry, principal = registry_of(request), getattr(request.state, "principal", None)
    if principal is None:
        return ()
    if "repo" in wanted:
        names = _repositories(registry, principal, wanted.get("ns", ""))
        found = closest(f"{wanted.get('ns')}/{wanted['repo']}", names)
        return tuple(Crumb(text=name, url=f"/ui/adapters/{name}") for name in found)
    if "run" in wanted:
        found = closest(wanted["run"], _runs(registry, principal))
        return tuple(Crumb(text=name, url=f"/ui/runs/{name}") for name in found)
    if "client" in wanted:
        found = closest(wanted["client"], clients.names(registry))
        return tuple(Crumb(text=name, url=f"/ui/clients/{name}") for name in found)
    return ()


def closest(wanted: str, known: Sequence[str]) -> list[str]:
    """The names that look most like one that does not exist."""
    return difflib.get_close_matches(wanted, known, n=MOST, cutoff=LIKENESS)


def _runs(registry: Registry, principal: Principal) -> list[str]:
    query = select(Version.run).where(visible_to(principal)).distinct()
    with registry.database.reading() as session:
        return list(session.scalars(query))


def _repositories(registry: Registry, principal: Principal, namespace: str) -> list[str]:
    """Those of the same namespace or, if it has none, of namespaces like it."""
    with registry.database.reading() as session:
        query = select(Version.repo).where(visible_to(principal)).distinct()
        own = list(session.scalars(query.where(Version.run == namespace)))
        if own:
            return own
    runs = closest(namespace, _runs(registry, principal))
    with registry.database.reading() as session:
        return list(session.scalars(query.where(Version.run.in_(runs))))
