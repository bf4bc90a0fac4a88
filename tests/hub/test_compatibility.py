"""The table of clients is the locks' own, and its calls are those that the matrix makes."""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from environments import ROOT
from hub.test_matrix import CLIENT, LINES

TEXT = (ROOT / "docs/compatibility.md").read_text()
PLACE = ROOT / "requirements/environments"
LOCKS = sorted(PLACE.glob("*.lock"))


def row(client: str) -> list[str]:
    (found,) = [line for line in TEXT.splitlines() if line.startswith(f"| {client} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


@pytest.mark.parametrize("name", LINES)
def test_the_versions_in_the_table_are_those_of_the_locks(name: str):
    (pinned,) = re.findall(r"^huggingface-hub==(\S+)", (PLACE / f"{name}.lock").read_text(), re.MULTILINE)
    _, said, how = row(f"huggingface_hub {LINES[name]}x")
    assert said == pinned
    assert how.startswith("run: ")


def test_the_version_of_peft_is_the_installed_one():
    assert row("peft, with transformers and huggingface_hub 2.x")[1] == version("peft")
    assert version("huggingface_hub").startswith("2.")


def test_what_is_said_to_be_run_names_a_test_that_is_there_and_vllm_is_not():
    named = re.findall(r"run: `(tests/[^`]+)`", TEXT)
    assert named
    assert all((ROOT / path).exists() for path in named)
    assert all("not run" in line for line in TEXT.splitlines() if line.startswith("| vLLM"))


def test_every_call_that_the_table_promises_is_made_by_the_matrix():
    promised = re.findall(r"^\| (.+?) \| yes \|", TEXT, re.MULTILINE)
    calls = set(re.findall(r"`(\w+)(?:\(|`)", " ".join(promised)))
    script = CLIENT.read_text() + CLIENT.with_name("test_matrix.py").read_text()
    assert {"hf_hub_download", "snapshot_download", "list_repo_files", "model_info", "HF_TOKEN_PATH"} <= calls
    assert {call for call in calls if call not in script} == set()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda file: file.stem)
def test_an_environments_lock_is_as_new_as_what_it_was_made_from_and_names_no_host(lock: Path):
    text = lock.read_text()
    digest = hashlib.sha256(lock.with_suffix(".in").read_bytes()).hexdigest()
    assert f"# from: {digest}\n" in text, "run `make lock` and commit what it writes"
    assert "://" not in text
    assert "--hash=sha256:" in text
