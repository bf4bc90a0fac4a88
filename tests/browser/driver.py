"""Chromium as a reader uses it: one origin only, whatever a page may ask for beside it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 420, "height": 860}
THEMES = ("light", "dark")
MOST_STEPS = 400
"""By Tab on one page."""


def axe() -> str:
    """The script that looks for barriers."""
    (file,) = sorted((ROOT / ".browser").glob("axe-*.min.js"))
    return file.read_text()


def demand_browser() -> None:
    """Skip where there is no browser, and say so; fail where one is required."""
    missing = not Path(CHROMIUM).exists() or not list((ROOT / ".browser").glob("axe-*.min.js"))
    if missing and "browser" in os.environ.get("PILOT_REQUIRE", ""):
        pytest.fail("PILOT_REQUIRE names browser, and Chromium or axe-core is missing: make setup-browser")
    if missing:
        pytest.skip("no browser: make setup-browser")


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    # As root it runs only without its sandbox; it loads nothing but our own pages.
    arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield made
        finally:
            made.close()


@dataclass
class Visit:
    """One person at one deployment, in one theme."""

    context: BrowserContext
    page: Page
    base: str
    strange: list[str] = field(default_factory=list)
    """What pages asked for elsewhere; it was not let through."""
    complaints: list[str] = field(default_factory=list)
    """Of the console, and what failed to load."""
    missing: list[str] = field(default_factory=list)
    """Files of ours that pages asked for and did not get."""

    def go(self, path: str) -> Page:
        """Open a page of ours."""
        self.page.goto(self.base + path, wait_until="load")
        return self.page

    def path(self) -> str:
        """Where we are."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")


@contextmanager
def visit(browser: Browser, base: str, key: str, theme: str = "light", scripts: bool = True) -> Iterator[Visit]:
    """Sign in with a key."""
    context = browser.new_context(
        viewport=WIDE, color_scheme=theme, java_script_enabled=scripts, locale="en-GB", timezone_id="Europe/Berlin"
    )
    made = Visit(context, context.new_page(), base)
    context.route("**/*", lambda route: _pass(route, made))
    made.page.on("console", lambda told: made.complaints.append(told.text) if told.type == "error" else None)
    made.page.on("response", lambda answer: made.missing.append(answer.url) if _is_lost(answer) else None)
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    try:
        made.go("/ui/login")
        made.page.fill("#key", key)
        made.page.click("text=Sign in >> nth=-1")
        made.page.wait_for_url(f"{base}/ui")
        yield made
    finally:
        context.close()


def focus(page: Page, tag: str, name: str) -> None:
    """Walk by Tab until the keyboard is at an element with this text."""
    for _ in range(MOST_STEPS):
        page.keyboard.press("Tab")
        at = page.evaluate("() => [document.activeElement.tagName, document.activeElement.textContent.trim()]")
        if at == [tag, name]:
            return
    pytest.fail(f"the keyboard does not reach {name!r} on {page.url}")


def _is_lost(answer) -> bool:
    return "/static/" in answer.url and not answer.ok and answer.status != 304


def _pass(route, made: Visit) -> None:
    if route.request.url.startswith(made.base) or route.request.url.startswith("data:"):
        route.continue_()
    else:
        made.strange.append(route.request.url)
        route.abort()
