"""The tabs that tell an adapter's story: what it was made of, what was measured, what happened to it."""

from pilot_http.problems import Unavailable
from pilot_proto.base import Stored
from pilot_proto.plan import TaskMean
from pilot_proto.registry import AliasView, AuditPage, Dependants
from pilot_proto.report import RunReport
from pilot_reports.metric_tables import task_means
from pilot_reports.round_tables import Measured, at_round
from pilot_reports.tables import Table

from pilot_registry import catalog, deletion, family, repository_history
from pilot_registry.family import Relative
from pilot_registry.hub.sources import means, sources
from pilot_registry.lineage import Node
from pilot_registry.query import Search
from pilot_registry.ui.page import Notice
from pilot_registry.ui.pages.adapter_head import AdapterPage, Opened, head
from pilot_registry.ui.pages.home import stale_notice
from pilot_registry.ui.upstream import Aggregator, Answered
from pilot_registry.ui.views.adapter_lines import AdapterLine, adapter_line
from pilot_registry.ui.views.drawing import Drawing
from pilot_registry.ui.views.family_drawing import family_drawing, heaviest_first
from pilot_registry.unended import unended_runs

CHILDREN, VERSIONS, ENTRIES = 100, 25, 50


class RelativeLine(Stored):
    """A parent or a child in a table."""

    repo: str
    commit: str
    round: int | None
    visible: bool
    coefficient: float | None


class FamilyPage(AdapterPage):
    drawing: Drawing
    parents: tuple[RelativeLine, ...]
    children: tuple[RelativeLine, ...]
    children_count: int


class MetricsPage(AdapterPage):
    table: Table | None
    """None where nothing was measured."""


class HistoryPage(AdapterPage):
    versions: tuple[AdapterLine, ...]
    next: str | None
    moves: tuple[AliasView, ...]


class AuditTab(AdapterPage):
    entries: AuditPage


class DeletePage(AdapterPage):
    dependants: Dependants


def story_of_family(found: Opened) -> FamilyPage:
    """Parents and children; of a hidden parent its name."""
    with found.registry.database.reading() as session:
        version = catalog.find(session, found.caller, found.repo, found.commit)
        above = heaviest_first(family.parents(session, found.caller, version))
        below, count = family.children(session, found.caller, version, CHILDREN)
    view = found.view
    own = Node(view.repo, view.commit, view.kind, view.round, view.client, view.task, visible=True)
    return FamilyPage.model_validate(
        {
            **head(found, "lineage"),
            "drawing": family_drawing(own, above, below),
            "parents": tuple(map(_relative, above)),
            "children": tuple(map(_relative, below)),
            "children_count": count,
        }
    )


def metrics(found: Opened, aggregator: Aggregator) -> MetricsPage:
    """As the run's report has them; without the aggregator, what the ledgers tell of its task."""
    view, notices = found.view, tuple[Notice, ...]()
    try:
        answer = aggregator.read(found.request, RunReport, f"runs/{view.run}/report")
        notices = stale_notice(answer.stale, answer.as_of)
        table = at_round(Measured(answer.document, view.round, view.client, view.task))
    except (Unavailable, Answered) as error:
        text = f"{error.detail.capitalize()}. This is what the ledgers here tell."
        notices, table = (Notice(tone="warning", text=text),), task_means(_means(found))
    fields = {**head(found, "metrics"), "notices": notices, "table": table if table.rows else None}
    return MetricsPage.model_validate(fields)


def history(found: Opened, cursor: str | None) -> HistoryPage:
    """The repository's versions, and where people pointed its aliases."""
    wanted = Search(repo=found.repo)
    page = catalog.search(found.registry, found.caller, wanted, VERSIONS, cursor)
    return HistoryPage.model_validate(
        {
            **head(found, "history"),
            "versions": tuple(adapter_line(view) for view in page.items),
            "next": page.next,
            "moves": repository_history.alias_moves(found.registry, found.caller, found.repo),
        }
    )


def audit(found: Opened, cursor: str | None) -> AuditTab:
    """Who did what to the repository."""
    entries = repository_history.audit(found.registry, found.repo, ENTRIES, cursor)
    return AuditTab.model_validate({**head(found, "audit"), "entries": entries})


def deleting(found: Opened, aggregator: Aggregator) -> DeletePage:
    """What stands on the version, before it is deleted."""
    unended = unended_runs(aggregator, found.request)
    dependants = deletion.dependants(found.registry, found.caller, found.repo, found.commit, unended)
    return DeletePage.model_validate({**head(found, "delete"), "dependants": dependants})


def _relative(relative: Relative) -> RelativeLine:
    node = relative.node
    return RelativeLine(
        repo=node.repo,
        commit=node.commit,
        round=node.round,
        visible=node.visible,
        coefficient=relative.coefficient,
    )


def _means(found: Opened) -> tuple[TaskMean, ...]:
    with found.registry.database.reading() as session:
        version = catalog.find(session, found.caller, found.repo, found.commit)
        known = sources(session, version)
    return means(found.registry, known)
