"""No page shows a command that nothing has run, and no text names a command or an option that does not exist."""

import re
import shlex
from pathlib import Path

import pages
import pytest
from pilot_cli.main import app
from typer.main import get_command

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / "digits/README.md"])

RUN_BY = {
    "docs/first-week.md": "tests/protocol/test_first_week.py",
    "docs/own-data.md": "tests/unit/cli/test_data_commands.py",
    "docs/own-model-and-gpus.md": "tests/unit/cli/test_own_model_page.py",
}
"""Pages of which a test runs every command, in order."""

BY_CI = {"make demo", "make test", "make check"}
"""What .ci/run does itself."""

INLINE = re.compile(r"`(pilot [a-z][^`]*)`")


@pytest.mark.parametrize(("page", "test"), RUN_BY.items())
def test_a_test_runs_the_page(page, test):
    assert pages.commands(ROOT / page)
    assert Path(page).name in (ROOT / test).read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_on_a_page_is_run_by_a_test_or_by_ci(page):
    ran = {command for each in RUN_BY for command in pages.commands(ROOT / each)} | BY_CI
    assert [command for command in pages.commands(page) if command not in ran] == []


def test_ci_runs_what_it_is_said_to_run():
    steps = (ROOT / ".ci/run").read_text()
    for command in BY_CI:
        assert re.search(rf"make --no-print-directory {command.split()[1]}\b", steps), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_text_exist_with_their_options(page):
    assert [said for said in INLINE.findall(page.read_text()) if (said and unknown(said))] == []


def test_the_words_of_the_programs_name_commands_that_exist():
    """Hints such as 'pilot get runs' are promises too."""
    found = []
    for package in ("proto", "http", "client", "data", "model", "reports", "cli", "services", "digits"):
        for file in sorted((ROOT / package).rglob("pilot_*/**/*.py")):
            found += [said for said in re.findall(r"'(pilot [a-z][^'\"{}]*)'", file.read_text()) if unknown(said)]
    assert found == []


def unknown(said: str) -> str:
    """What of a command line does not exist: the command, or an option of it."""
    try:
        words = shlex.split(said)[1:]
    except ValueError:
        return said
    command = get_command(app)
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return "" if words[0].startswith("--") else words[0]
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = [word.split("=")[0] for word in words if word.startswith("-") and not word.lstrip("-").isdigit()]
    return next((word for word in given if word not in options | {"--help"}), "")
