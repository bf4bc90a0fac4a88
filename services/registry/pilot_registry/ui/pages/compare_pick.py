"""Which two to compare: what was chosen in a list, and what goes well with the one that is known."""

from itertools import pairwise
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from pilot_http.auth import Principal
from pilot_http.problems import Invalid
from pilot_proto.registry import VersionView

from pilot_registry import catalog, compare, query
from pilot_registry.context import Registry
from pilot_registry.query import Search
from pilot_registry.ui.page import Crumb, Notice, Page, show
from pilot_registry.ui.pages.adapter_head import Opened, opened
from pilot_registry.ui.views.adapter_lines import AdapterLine, adapter_line

OFFERED, ROUNDS = 20, 12
PAGE, LOOKED_THROUGH = 50, 6
"""Versions in one look, and looks."""


class PickPage(Page):
    title: str = "Compare two adapters"
    chosen: AdapterLine | None
    """The one that is known."""
    q: str
    same: tuple[AdapterLine, ...]
    """Other versions of its repository."""
    others: tuple[AdapterLine, ...]
    """The newest, or what was searched."""


def choose(
    request: Request, caller: Principal, registry: Registry, known: str | None, picked: tuple[str, ...], q: str | None
) -> Response:
    """The page to choose on; when two are known, the comparison."""
    references = (*((known,) if known else ()), *picked)
    if len(references) == 2:
        return RedirectResponse(f"/ui/compare?{urlencode({'a': references[0], 'b': references[1]})}", 303)
    notices: tuple[Notice, ...] = ()
    if len(references) > 2:
        notices = (Notice(tone="warning", text=f"{len(references)} were chosen; a comparison is between two."),)
    one = opened(request, registry, caller, *compare.parts(references[0])) if len(references) == 1 else None
    try:
        others = _listed(registry, caller, _wanted(q, one))
    except Invalid as error:
        others, notices = (), (*notices, Notice(tone="bad", text=f"{error.detail}; {error.hint}."))
    page = PickPage(
        notices=notices,
        crumbs=(Crumb(text="Adapters", url="/ui/adapters"),),
        chosen=adapter_line(one.view) if one else None,
        q=q or "",
        same=_others(_listed(registry, caller, Search(repo=one.repo, state="live")), one) if one else (),
        others=_others(others, one),
    )
    return show(request, "compare_pick.html", page)


def rounds_of(side: Opened) -> tuple[Crumb, ...]:
    """Links from round to round of a repository, and from its first to its last."""
    page = catalog.search(side.registry, side.caller, Search(repo=side.repo, state="live"), ROUNDS, None)
    views = [view for view in reversed(page.items) if not view.private]
    pairs = list(pairwise(views))
    if len(views) > 2:
        pairs.insert(0, (views[0], views[-1]))
    return tuple(_link(a, b) for a, b in pairs)


def _link(a: VersionView, b: VersionView) -> Crumb:
    query = urlencode({"a": f"{a.repo}@{a.commit}", "b": f"{b.repo}@{b.commit}"})
    return Crumb(text=f"round {a.round} against round {b.round}", url=f"/ui/compare?{query}")


def _wanted(q: str | None, one: Opened | None) -> Search:
    """What somebody searches, or what is like the one that is known."""
    if q is None and one is not None:
        return Search(run=one.view.run, kind=one.view.kind, round=one.view.round, state="live")
    return query.read(q, Search(state="live"))


def _listed(registry: Registry, caller: Principal, wanted: Search) -> tuple[AdapterLine, ...]:
    found: list[AdapterLine] = []
    cursor = None
    # An admin's list begins with records of private versions, whose bytes are for nobody: they are passed over.
    for _ in range(LOOKED_THROUGH):
        page = catalog.search(registry, caller, wanted, PAGE, cursor)
        found += [line for line in map(adapter_line, page.items) if line.comparable]
        cursor = page.next
        if cursor is None or len(found) >= OFFERED:
            break
    return tuple(found[:OFFERED])


def _others(lines: tuple[AdapterLine, ...], one: Opened | None) -> tuple[AdapterLine, ...]:
    return tuple(line for line in lines if one is None or line.commit != one.commit)
