"""What a person does to an adapter: point an alias at it, keep it beyond its run, delete it."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pilot_http.auth import Caller
from pilot_http.problems import Invalid
from pilot_proto.names import check_name
from pilot_proto.registry import AliasView

from pilot_registry import aliases, deletion
from pilot_registry.aliases import ConditionFailed
from pilot_registry.context import InRegistry
from pilot_registry.ui.page import Crumb, Page, show
from pilot_registry.ui.pages.adapter_head import ADAPTERS
from pilot_registry.ui.pages.run import back_to
from pilot_registry.ui.pages.signing import read_form
from pilot_registry.ui.service import FromAggregator
from pilot_registry.unended import unended_runs

router = APIRouter(include_in_schema=False)


class MovedPage(Page):
    """Somebody else was first."""

    repo: str
    alias: str
    commit: str
    """Where it was to point."""
    expected: str
    """Where it stood when the page was made; empty where there was none."""
    now: AliasView | None
    """Where it stands; None where it is gone."""


@router.post("/ui/adapters/{ns}/{repo}/alias")
async def set_alias(ns: str, repo: str, request: Request, caller: Caller, registry: InRegistry) -> Response:
    """Point an alias to a version, if it stands where the page said."""
    form, place = await read_form(request), f"{ns}/{repo}"
    alias, commit, expected = form.get("alias", "").strip(), form.get("commit", ""), form.get("at", "")
    condition = (expected, None) if expected else (None, "*")
    try:
        await run_in_threadpool(aliases.move, registry, caller, place, alias, commit, *condition)
    except ConditionFailed:
        listed = await run_in_threadpool(aliases.listing, registry, caller, place)
        now = next((known for known in listed.items if known.alias == alias), None)
        crumbs = (ADAPTERS, Crumb(text=place, url=f"/ui/adapters/{place}?rev={commit}"))
        page = MovedPage(
            title=f"{alias} has moved",
            crumbs=crumbs,
            repo=place,
            alias=alias,
            commit=commit,
            expected=expected,
            now=now,
        )
        return show(request, "adapter_moved.html", page, ConditionFailed.status)
    return back_to(f"/ui/adapters/{place}", f"{alias} points to {commit[:12]}.", rev=commit)


@router.post("/ui/adapters/{ns}/{repo}/release")
async def release(ns: str, repo: str, request: Request, caller: Caller, registry: InRegistry) -> Response:
    """Keep a version as `released/{name}`."""
    form = await read_form(request)
    name = _name(form.get("name", ""))
    commit = form.get("commit", "")
    view, new = await run_in_threadpool(aliases.release, registry, caller, f"{ns}/{repo}", commit, name)
    done = f"{view.repo} is kept." if new else f"{view.repo} was kept before."
    return back_to(f"/ui/adapters/{view.repo}", done, rev=view.commit)


@router.post("/ui/adapters/{ns}/{repo}/delete")
async def delete(
    ns: str, repo: str, request: Request, caller: Caller, registry: InRegistry, aggregator: FromAggregator
) -> Response:
    """Make a version a tombstone, if its name was typed."""
    form, place = await read_form(request), f"{ns}/{repo}"
    if form.get("name", "").strip() != place:
        raise Invalid(
            f"the name that was typed is not {place}", hint="nothing was deleted; go back and type the whole name"
        )
    commit = form.get("commit", "")
    unended = await run_in_threadpool(unended_runs, aggregator, request)
    await run_in_threadpool(deletion.delete, registry, caller, place, commit, unended)
    return back_to(f"/ui/adapters/{place}", f"{commit[:12]} is deleted; its record stays.", rev=commit)


def _name(text: str) -> str:
    try:
        return check_name(text.strip())
    except ValueError as error:
        raise Invalid(str(error)) from error
