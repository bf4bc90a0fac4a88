"""What every tab of an adapter's page has: which version it is, what may be read of it, and what may be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import Request
from pilot_http.auth import Principal
from pilot_http.problems import Forbidden
from pilot_proto.base import Stored
from pilot_proto.manifest import Manifest
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.registry import AliasView, VersionView

from pilot_registry import aliases, catalog
from pilot_registry.aliases import TAKEN
from pilot_registry.context import Registry
from pilot_registry.download import Deleted, check_readable
from pilot_registry.hub.card import WHOLE
from pilot_registry.tables import Version
from pilot_registry.ui.page import Crumb, Page, caller_may
from pilot_registry.ui.views.adapter_lines import AdapterLine, adapter_line

ADAPTERS = Crumb(text="Adapters", url="/ui/adapters")
TABS: Mapping[str, tuple[str, str]] = {
    "use": ("Use", "viewer"),
    "tensors": ("Tensors", "viewer"),
    "lineage": ("Lineage", "viewer"),
    "metrics": ("Metrics", "viewer"),
    "files": ("Files", "viewer"),
    "history": ("History", "viewer"),
    "card": ("Card", "viewer"),
    "audit": ("Audit", "admin"),
}
"""By name: what stands on it, and who sees it."""


class Tab(Stored):
    name: str
    text: str
    url: str


class Acts(Stored):
    """What whoever reads may do to the version."""

    alias: bool = False
    release: bool = False
    delete: bool = False
    movable: tuple[AliasView, ...] = ()
    """People's aliases of the repository that point elsewhere now."""


class AdapterPage(Page):
    version: VersionView
    line: AdapterLine
    digest: str
    """Of the file with its tensors; of an update, which has several, empty."""
    made_by: str
    whole: str
    """What it is not, alone; Markdown."""
    withheld: str = ""
    """Why its bytes may not be read; empty where they may."""
    tab: str
    tabs: tuple[Tab, ...]
    acts: Acts


@dataclass(frozen=True)
class Opened:
    """A version that somebody looks at."""

    request: Request
    registry: Registry
    caller: Principal
    view: VersionView
    manifest: Manifest
    withheld: str

    @property
    def repo(self) -> str:
        return self.view.repo

    @property
    def commit(self) -> str:
        return self.view.commit

    def url(self, **query: str) -> str:
        """Its page."""
        return f"/ui/adapters/{self.repo}?{urlencode({'rev': self.commit, **query})}"


def opened(request: Request, registry: Registry, caller: Principal, repo: str, revision: str) -> Opened:
    """The version at a revision; raises NotFound."""
    with registry.database.reading() as session:
        version = catalog.find(session, caller, repo, revision)
        (view,) = catalog.views(session, [version])
        manifest = Manifest.model_validate_json(version.manifest)
        return Opened(request, registry, caller, view, manifest, _withheld(caller, version))


def head(found: Opened, tab: str) -> dict[str, object]:
    """The fields of an AdapterPage."""
    view, deleted = found.view, found.view.state == "deleted"
    main = view.files.get(ADAPTER_FILE.get(view.kind, ""))
    seen = [name for name, (_, role) in TABS.items() if caller_may(found.request, role)]
    return {
        "title": view.repo,
        "crumbs": (ADAPTERS, Crumb(text=view.run, url=f"/ui/adapters?{urlencode({'run': view.run})}")),
        "cli": f"pilot describe adapter {view.repo}@{view.commit}",
        "version": view,
        "line": adapter_line(view),
        "digest": main.digest if main else "",
        "made_by": _made_by(view),
        "whole": WHOLE.get(view.kind, ""),
        "withheld": found.withheld,
        "tab": tab,
        "tabs": tuple(Tab(name=name, text=TABS[name][0], url=found.url(tab=name)) for name in seen),
        "acts": Acts(
            alias=caller_may(found.request, "operator") and not deleted,
            release=caller_may(found.request, "operator") and not deleted and view.kind != "update",
            delete=caller_may(found.request, "admin") and not deleted,
            movable=_movable(found) if caller_may(found.request, "operator") and not deleted else (),
        ),
    }


def _withheld(caller: Principal, version: Version) -> str:
    try:
        check_readable(caller, version)
    except (Forbidden, Deleted) as error:
        return f"{error.detail}; {error.hint}".removesuffix("; ")
    return ""


def _made_by(view: VersionView) -> str:
    if view.kind == "update":
        return f"client {view.client}"
    if view.repo.partition("/")[0] != view.run:
        return "a release"
    return f"the merge of round {view.round}" if view.round else "round 0, where all begin"


def _movable(found: Opened) -> tuple[AliasView, ...]:
    known = aliases.listing(found.registry, found.caller, found.repo).items
    return tuple(alias for alias in known if alias.commit != found.commit and not TAKEN.match(alias.alias))
