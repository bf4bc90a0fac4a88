"""What the documents and locks promise about the code."""

import importlib.util
import re
from pathlib import Path
from typing import get_args

import pytest
from pilot_aggregator.rounds.decide import AttemptState
from pilot_aggregator.rounds.phases import VERBS
from pilot_proto.boundaries import Boundary
from pilot_proto.run import Phase

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

WORDS = [
    *get_args(Phase),
    *get_args(AttemptState),
    *VERBS,
    *Boundary,
    *("QuorumMissed", "MergeRefused", "PublishedDiffers", "ClientLost"),
    *("Partial", "Paused", "AwaitingTrigger", "AwaitingVerdict"),
    *("Late", "Lost", "Failed", "Flagged", "Refused"),
]


@pytest.mark.parametrize("word", WORDS)
def test_the_life_of_a_round_explains_every_word_that_a_person_may_meet(word):
    assert f"`{word}`" in (ROOT / "docs/rounds.md").read_text()


def test_the_functions_that_the_documents_name_exist():
    text = (ROOT / "docs/rounds.md").read_text()
    code = "\n".join(file.read_text() for file in ROOT.glob("**/pilot_*/**/*.py") if ".venv" not in file.parts)
    named = set(re.findall(r"`(?:[a-z_/.]+[./])?([a-z_]+)\(?\)?`", text))
    functions = {name for name in named if re.search(rf"\bdef {name}\b", code)}
    assert {"plan_round", "decide", "merge_plan", "ledger", "publication"} <= functions


@pytest.mark.parametrize("lock", LOCKS, ids=lambda file: file.name)
def test_a_lock_is_as_new_as_what_it_was_made_from_and_names_no_host(lock):
    spec = importlib.util.spec_from_file_location("lock_digest", ROOT / "tools/lock_digest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = lock.read_text()
    assert f"# from: {module.digest()}" in text, "run `make lock` and commit what it writes"
    assert "://" not in text
    assert "--hash=sha256:" in text


def test_there_is_a_lock_for_each_service_and_for_developers():
    assert [file.stem for file in LOCKS] == ["aggregator", "build", "dev", "digits", "model", "registry", "trainer"]


def test_services_that_need_no_torch_do_not_lock_it():
    for name in ("aggregator", "registry"):
        assert not re.search(r"^torch==", (ROOT / f"requirements/{name}.lock").read_text(), re.MULTILINE)


def test_every_equation_file_that_the_mathematics_names_is_there():
    named = set(re.findall(r"`([a-z_/]+\.py)`", (ROOT / "docs/math.md").read_text()))
    files = {str(file.relative_to(ROOT)) for file in ROOT.glob("**/*.py") if ".venv" not in file.parts}
    missing = {name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in files)}
    assert not missing
