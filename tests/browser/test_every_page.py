"""Every page in both themes: nothing from elsewhere, no barrier, no overflow in a narrow window; and how it looks."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browser.conftest import ALONE, BROKEN, RUN, WAITING, key
from browser.driver import NARROW, THEMES, WIDE, Visit, axe, visit
from playwright.sync_api import Page

TEXT = f"{RUN}/client-vqa-1-text"
TABS = ("tensors", "lineage", "metrics", "files", "history", "card", "audit")
PAGES = {
    "home": "/ui",
    "runs": "/ui/runs",
    "run": f"/ui/runs/{RUN}",
    "round": f"/ui/runs/{RUN}/rounds/2",
    "round-prepare": f"/ui/runs/{RUN}/rounds/0",
    "round-evaluate": f"/ui/runs/{RUN}/rounds/4",
    "lineage": f"/ui/runs/{RUN}/lineage",
    "adapters": "/ui/adapters",
    "adapter-use": f"/ui/adapters/{TEXT}",
    **{f"adapter-{tab}": f"/ui/adapters/{TEXT}?tab={tab}" for tab in TABS},
    "compare": f"/ui/compare?a={TEXT}@round-1&b={TEXT}@round-3",
    "clients": "/ui/clients",
    "client": "/ui/clients/vqa-1",
    "client-left-out": f"/ui/clients/{BROKEN}",
    "quarantine": "/ui/quarantine",
    "quarantine-held": f"/ui/runs/{WAITING}/rounds/1",
    "run-waiting": f"/ui/runs/{WAITING}",
    "adapter-delete": f"/ui/adapters/{TEXT}?rev=round-1&tab=delete",
    "lineage-table": f"/ui/runs/{RUN}/lineage?view=table",
    "distances": f"/ui/runs/{RUN}/rounds/2/distances",
    "logs": f"/ui/runs/{RUN}/rounds/2/clients/{BROKEN}/logs",
    "transfer": f"/ui/transfer?run={RUN}&run={ALONE}",
    "transfer-alone": f"/ui/transfer?run={RUN}",
    "operations": "/ui/system/api",
    "compare-choose": "/ui/compare",
    "system": "/ui/system",
    "audit": "/ui/audit",
    "error": "/ui/runs/digitz",
}
README = {
    ("run", "light"): None,
    ("round", "light"): "Who was merged with whom",
    ("lineage", "dark"): None,
    ("transfer", "light"): None,
}
"""Pictures that the README shows: of a window, or of the part of a page below a heading."""
IMAGES = Path(__file__).parents[2] / "docs" / "images"
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = {"serious", "critical"}
ALLOWED = re.compile(r"status of 404")
"""Chromium tells of the error page, which is one of them."""


@pytest.fixture(scope="module")
def visits(chromium, deployed):
    """One admin for each theme."""
    made: dict[str, Visit] = {}
    opened = [visit(chromium, deployed.deployment.registry_url, key(deployed, "admin"), theme) for theme in THEMES]
    for theme, each in zip(THEMES, opened, strict=True):
        made[theme] = each.__enter__()
    yield made
    for each in opened:
        each.__exit__(None, None, None)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier_and_asks_for_nothing_elsewhere(visits, name, theme):
    at = visits[theme]
    at.strange.clear(), at.complaints.clear(), at.missing.clear()
    page = at.go(PAGES[name])
    page.wait_for_load_state("networkidle")
    keep(page, name, theme)
    page.evaluate(axe())
    found = page.evaluate("(rules) => axe.run(document, {runOnly: rules})", RULES)
    faults = [
        f"{fault['id']} ({fault['impact']}): {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]
    assert not faults, "\n".join(faults)
    assert (at.strange, at.missing) == ([], [])
    assert [told for told in at.complaints if not ALLOWED.search(told)] == []


@pytest.mark.parametrize("name", PAGES)
def test_in_a_narrow_window_only_tables_and_drawings_scroll_sideways(visits, name):
    at = visits["light"]
    at.page.set_viewport_size(NARROW)
    page = at.go(PAGES[name])
    keep(page, f"{name}-narrow", "light")
    wide = page.evaluate("() => document.scrollingElement.scrollWidth - window.innerWidth")
    at.page.set_viewport_size(WIDE)
    assert wide <= 0, f"the page is {wide} px too wide"


def test_without_scripts_every_page_of_ours_can_be_reached_and_read(chromium, deployed):
    base = deployed.deployment.registry_url
    with visit(chromium, base, key(deployed, "admin"), scripts=False) as at:
        todo, seen = ["/ui"], set()
        while todo and len(seen) < 150:
            path = todo.pop(0)
            if (place := shape(path)) in seen:
                continue
            seen.add(place)
            answer = at.page.goto(base + path)
            assert answer.status == 200, path
            assert at.page.locator("h1").count() == 1, path
            todo += links(at)
    assert (at.strange, at.missing) == ([], [])
    assert len(seen) > 20


def links(at: Visit) -> list[str]:
    """The pages that a page leads to, without its files and other forms of itself."""
    found = at.page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
    pages = [link for link in found if link.startswith("/ui") and "format=" not in link]
    return [link for link in pages if not urlsplit(link).path.endswith((".csv", ".html", "/live", "/text"))]


def shape(path: str) -> str:
    """What kind of a page it is: numbers and commits do not make another one."""
    return re.sub(r"[0-9a-f]{12,}|\d+", "N", path)


def keep(page: Page, name: str, theme: str) -> None:
    """A picture of it, where somebody wants pictures; some are for the README."""
    folder = os.environ.get("PILOT_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    page.screenshot(path=Path(folder) / f"{name}-{theme}.png", full_page=True)
    if (name, theme) in README:
        heading = README[name, theme]
        part = page.locator("section", has=page.get_by_role("heading", name=heading)) if heading else page
        part.screenshot(path=IMAGES / f"page-{name}.png")
