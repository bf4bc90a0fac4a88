"""What an adapter's page offers to copy, copied and run against a registry process."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from environments import ROOT
from hub.conftest import REPO, Served
from pilot_registry.hub.snippets import snippets
from unit.registry.test_hub_card import COMMIT, manifest

FOLDER = "client-vqa-1-text"
FILES = {"adapter_config.json", "adapter_model.safetensors"}


@pytest.fixture(scope="session")
def offered(served: Served) -> dict[str, str]:
    """Snippets by name, as the page has them."""
    address = f"{served.url}/ui/adapters/{REPO}?rev={served.commit}&tab=use&format=json"
    answer = httpx.get(address, headers={"Authorization": "Bearer viewer"})
    assert answer.status_code == 200, answer.text
    return {snippet["name"]: snippet["text"] for snippet in answer.json()["snippets"]}


@pytest.fixture
def shell(offered: dict[str, str], user: dict[str, str], tmp_path: Path):
    """Run a script after the snippet that says where and who, as somebody whose key is where it says."""
    (tmp_path / "pilot.key").write_text("viewer\n")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    known = {name: value for name, value in user.items() if name != "HF_TOKEN_PATH"}

    def run(script: str) -> Path:
        done = subprocess.run(
            ["bash", "-euc", f"{offered['place']}\n{script}"],
            env={**known, "PATH": path, "PILOT_CONFIG_DIR": str(tmp_path / "settings")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return tmp_path

    return run


def fetched(folder: Path, served: Served, names: set[str]) -> None:
    """Exactly these files are there, with the bytes that the registry has."""
    files = {file.name: file for file in folder.iterdir() if file.is_file() and file.name != "pilot.key"}
    files.pop("token", None)
    assert set(files) == names
    for name, file in files.items():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == served.digests[name]


def test_hf_downloads_its_files(offered, shell, served: Served):
    fetched(shell(offered["hf"]) / FOLDER, served, {*FILES, "README.md"})


def test_pull_downloads_its_files(offered, shell, served: Served):
    fetched(shell(offered["pull"]) / FOLDER, served, FILES)


def test_curl_downloads_its_files(offered, shell, served: Served):
    if shutil.which("curl", path="/usr/bin:/bin") is None:
        pytest.skip("no curl on this machine")
    fetched(shell(offered["curl"]), served, FILES)


def test_download_finds_a_folder_with_its_files(offered, shell, served: Served):
    script = f"{offered['download']}\nopen('folder', 'w').write(folder)"
    here = shell(f"python - <<'END'\n{script}\nEND")
    folder = Path((here / "folder").read_text())
    assert folder.name == served.commit
    fetched(folder, served, {*FILES, "README.md"})


def test_peft_and_peft_by_name_are_what_the_card_says_which_another_test_runs(offered, served: Served):
    blocks = re.findall(r"```python\n(.*?)```", served.files["README.md"].decode(), re.DOTALL)
    assert [offered["peft"], offered["peft-by-name"]] == blocks


@pytest.mark.parametrize("kind", ["text", "connector", "vision"])
def test_what_is_said_to_be_run_is_named_in_the_test_that_runs_it(kind: str):
    for snippet in snippets(manifest(kind=kind), COMMIT, "http://registry"):
        if snippet.run_by:
            assert re.search(rf"\b{snippet.name}\b", (ROOT / snippet.run_by).read_text()), snippet.name
        else:
            assert snippet.name == "vllm"


HOSTILE = "x'; touch evil; '", '"; import os', "$(touch evil)", "a b"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_words_in_the_shell_and_strings_in_python(name: str, tmp_path: Path):
    hostile = manifest(repo=f"digits/{name}", run=name, client=name, contributors=(name,), files={name: ref()})
    for snippet in snippets(hostile, COMMIT, "http://registry/$(touch evil)"):
        if snippet.language == "python":
            compile(snippet.text, snippet.name, "exec")
            assert "import os;" not in snippet.text.replace("import os\n", "")
            continue
        words = "pilot() { :; }; hf() { :; }; curl() { :; }; vllm() { :; }; cat() { :; }\n"
        done = subprocess.run(
            ["bash", "-euc", words + snippet.text],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": "/",
                "PILOT_TOKEN_FILE": "x",
                "PILOT_REGISTRY_URL": "u",
                "BASE_MODEL": "b",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (snippet.name, done.stderr)
    assert not list(tmp_path.iterdir())


def ref() -> dict:
    return {"digest": "sha256:" + "0" * 64, "size": 1}
