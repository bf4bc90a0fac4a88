"""The registry as three generations of huggingface_hub see it, each in an environment of its own."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from environments import python_of
from hub.conftest import HIDDEN, REPO, Served

CLIENT = Path(__file__).with_name("client.py")
LINES = {"hub-0": "0.", "hub-1": "1.", "hub-2": "2."}


def ask(name: str, served: Served, user: dict[str, str], folder: Path, **more: str) -> dict:
    """What the client of an environment was told."""
    asked = {"repo": REPO, "hidden": HIDDEN, "commit": served.commit, "endpoint": served.url}
    done = subprocess.run(
        [python_of(name), CLIENT, json.dumps(asked)],
        env=user | more,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("by", ["endpoint", "HF_ENDPOINT"])
@pytest.mark.parametrize("name", LINES)
def test_everything_that_a_reader_does_works_with(name: str, by: str, served: Served, user, tmp_path: Path):
    told = ask(name, served, user, tmp_path, **({"HF_ENDPOINT": served.url} if by == "HF_ENDPOINT" else {}))
    assert told["version"].startswith(LINES[name])
    names = sorted(served.files)
    assert set(told["snapshots"]) == {"None", "main", "round-1", served.commit}
    assert all(found == served.digests for found in told["snapshots"].values())
    assert told["folder"] == told["sha"] == served.commit
    assert sorted(told["listed"]) == told["tree"] == names
    assert told["sizes"] == {name: [len(served.files[name]), served.digests[name]] for name in names}
    assert told["one_file"] == {"adapter_config.json": served.digests["adapter_config.json"]}
    assert told["only_config"] == ["adapter_config.json"]
    assert told["tensors"] == {"a.weight": ["F32", [4, 3]], "b.bias": ["F32", [5]]}
    assert told["private"] is False
    assert told["exists"] == [True, False]
    for case, kind in {
        "no_file": "EntryNotFoundError",
        "no_revision": "RevisionNotFoundError",
        "no_revision_listed": "RevisionNotFoundError",
        "no_repo": "RepositoryNotFoundError",
        "hidden_repo": "RepositoryNotFoundError",
        "wrong_token": "RepositoryNotFoundError",
        "wrong_token_warm": "RepositoryNotFoundError",
    }.items():
        assert kind in told[case]["kind"], (case, told[case])
    assert "names here: main, round-1" in told["no_revision_listed"]["text"]
    assert "no valid key" in told["wrong_token_warm"]["text"]
    assert told["no_revision_warm"] is not None, "a warm cache must not stand in for a revision that never was"


def test_a_client_that_never_sends_head_learns_the_same_from_the_first_byte(served: Served):
    """As huggingface.js does: GET with `Range: bytes=0-0`, and the size from Content-Range."""
    with httpx.Client(base_url=served.url, headers={"Authorization": "Bearer viewer"}) as client:
        for path, body in served.files.items():
            first = client.get(f"/{REPO}/resolve/main/{path}", headers={"Range": "bytes=0-0"})
            assert (first.status_code, first.content) == (206, body[:1])
            assert first.headers["content-range"] == f"bytes 0-0/{len(body)}"
            assert first.headers["etag"] == f'"{served.digests[path]}"'
            assert first.headers["x-repo-commit"] == served.commit
            whole = client.get(f"/{REPO}/resolve/{served.commit}/{path}", headers={"Accept-Encoding": "gzip"})
            assert whole.content == body
            assert "content-encoding" not in whole.headers
