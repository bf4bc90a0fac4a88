"""What people come to the pages for, from the first page to the last, by keyboard and by mouse."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from browser.conftest import BROKEN, RUN, key
from browser.driver import Visit, focus, visit
from pilot_digits.models import DIGITS_TINY
from playwright.sync_api import Page, expect

TEXT = f"{RUN}/client-vqa-1-text"


@pytest.fixture
def somebody(chromium, deployed):
    """Whoever signs in with an operator's key."""
    with visit(chromium, deployed.deployment.registry_url, key(deployed, "operator")) as made:
        made.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=made.base)
        yield made


# -- from the first run to a model in memory


def test_from_the_first_run_to_a_loaded_lora(somebody: Visit, deployed, tmp_path: Path):
    page = somebody.page
    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_role("link", name=RUN, exact=True).click()
    page.get_by_role("link", name="round 3").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"{RUN}, round 3")
    page.get_by_role("link", name="vqa-1").first.click()
    page.get_by_role("link", name="Adapters", exact=True).last.click()
    page.get_by_role("link", name=TEXT).first.click()
    expect(page.get_by_text("This text adapter alone is not the personal model")).to_be_visible()
    place, loading = copied(page, "Once, in the shell"), copied(page, "The LoRA, with peft")
    (tmp_path / "pilot.key").write_text(key(deployed, "viewer"))
    told = (
        f"{loading}\nprint(isinstance(model, PeftModel), sum('lora_' in name for name, _ in model.named_parameters()))"
    )
    done = subprocess.run(
        ["bash", "-euc", f"{place}\n{sys.executable} - <<'END'\n{told}\nEND"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "BASE_MODEL": str(DIGITS_TINY),
            "HF_HOME": str(tmp_path / "hub"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, tensors = done.stdout.split()[-2:]
    assert (kind, int(tensors) > 0) == ("True", True)


def copied(page: Page, title: str) -> str:
    """A snippet, by its button."""
    way = page.locator(".way", has=page.get_by_role("heading", name=title))
    way.get_by_role("button", name="Copy").click()
    expect(way.get_by_role("button")).to_have_text("Copied")
    text: str = page.evaluate("() => navigator.clipboard.readText()")
    assert text.strip() == way.locator("pre").inner_text().strip()
    return text


# -- why was a client left out of a merge? Without a mouse


def test_why_a_client_was_left_out_is_found_by_keyboard(somebody: Visit):
    page = somebody.page
    enter(page, "Runs")
    enter(page, RUN)
    expect(page.locator(".notice")).to_contain_text(f"round 1: {BROKEN} (bad_data)")
    enter(page, "round 2")
    row = page.get_by_role("row", name=re.compile(BROKEN)).first
    expect(row).to_contain_text("left out")
    expect(page.locator("tr.more")).to_contain_text("image 'lost-0.png' is missing")
    open_by_keyboard(page, "What these words mean")
    expect(page.get_by_text("pilot data validate").first).to_be_visible()
    # It had no part in the merge of its task, and was carried where it could have had its own.
    members = page.get_by_role("row", name=re.compile("^vqa ")).first
    expect(members).not_to_contain_text(BROKEN)
    enter(page, BROKEN)
    expect(page.get_by_role("heading", level=1)).to_have_text(BROKEN)
    expect(page.get_by_text("rounds answered, of those that asked")).to_be_visible()
    page.get_by_role("link", name=RUN, exact=True).click()
    expect(page.locator("tr", has_text="bad_data")).to_have_count(3)


def enter(page: Page, name: str) -> None:
    """Walk to a link by Tab, and follow it by Enter."""
    focus(page, "A", name)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def open_by_keyboard(page: Page, name: str) -> None:
    """Walk to what folds, and unfold it."""
    focus(page, "SUMMARY", name)
    page.keyboard.press("Enter")


# -- which round was better for a client? Give it a name


def test_the_better_of_two_rounds_is_promoted(somebody: Visit, deployed):
    page = somebody.page
    page.get_by_role("link", name="Adapters", exact=True).click()
    page.get_by_label("Run", exact=True).fill(RUN)
    page.get_by_label("Client", exact=True).fill("vqa-1")
    page.keyboard.press("Enter")
    page.wait_for_url("**client=vqa-1**")
    page.locator("select[name=kind]").select_option("text")
    expect(page.locator("#results tbody tr")).to_have_count(3)
    for name in ("round-1", "round-3"):
        page.locator("#results tbody tr", has=page.get_by_text(name, exact=True)).get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare two chosen").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Compare")
    score = merged_scores(page)
    better = max(score, key=lambda number: score[number])
    page.locator("main section").first.get_by_role("link", name=TEXT).nth(rounds_shown(page).index(better)).click()
    expect(page.get_by_role("link", name=f"Round {better}")).to_be_visible()
    page.get_by_text("Name, keep or delete this version").click()
    page.get_by_label("A new alias").fill("best")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("status")).to_be_visible()
    expect(page.get_by_text("best", exact=True).first).to_be_visible()
    address = f"{deployed.deployment.registry_url}/api/v1alpha1/adapters/{TEXT}/versions/best"
    found = httpx.get(address, headers={"Authorization": f"Bearer {key(deployed, 'viewer')}"})
    assert found.json()["round"] == better


def merged_scores(page: Page) -> dict[int, float]:
    """Round to what the client measured of what it published, in percent."""
    table = page.locator("table", has=page.get_by_role("row", name=re.compile("vqa-1 exact-match")))
    heads, cells = table.locator("thead th").all_inner_texts(), table.locator("tbody tr > *").all_inner_texts()
    told = {head: cell for head, cell in zip(heads, cells, strict=True) if head.lower().startswith("merged")}
    return {int(head.split()[-1]): float(cell.removesuffix(" %")) for head, cell in told.items()}


def rounds_shown(page: Page) -> list[int]:
    """Of A and of B."""
    return [int(number) for number in re.findall(r" round (\d)", page.locator("main section").first.inner_text())][:2]
