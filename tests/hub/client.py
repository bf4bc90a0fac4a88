"""What a user of huggingface_hub does, run by whichever version of it an environment has. Prints JSON."""

import hashlib
import json
import os
import sys
from pathlib import Path

from huggingface_hub import HfApi, __version__, hf_hub_download, snapshot_download

asked = json.loads(sys.argv[1])
REPO, COMMIT, ENDPOINT = asked["repo"], asked["commit"], asked["endpoint"]
TOKEN_FILE = Path(os.environ["HF_TOKEN_PATH"])
BY_NAME = "HF_ENDPOINT" in os.environ
OPTIONS = {} if BY_NAME else {"endpoint": ENDPOINT}
api = HfApi(**OPTIONS)


def fetched(folder):
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(Path(folder).rglob("*"))
        if file.is_file()
    }


def fault(act):
    """The name of the error that something ends with, and what its words are."""
    try:
        act()
    except Exception as error:
        names = [kind.__name__ for kind in type(error).__mro__]
        return {"kind": names, "text": str(error), "cause": type(error.__cause__).__name__}
    return None


def snapshot(revision=None, **more):
    return snapshot_download(REPO, revision=revision, **OPTIONS, **more)


def file(name, repo=REPO, **more):
    return hf_hub_download(repo, name, **OPTIONS, **more)


def with_token(text, act):
    kept = TOKEN_FILE.read_text()
    TOKEN_FILE.write_text(text)
    try:
        return act()
    finally:
        TOKEN_FILE.write_text(kept)


header = api.parse_safetensors_file_metadata(REPO, "adapter_model.safetensors")
info = api.model_info(REPO, revision="round-1", files_metadata=True)
one = file("adapter_config.json", cache_dir="one")
told = {
    "version": __version__,
    "wrong_token": with_token("wrong", lambda: fault(lambda: snapshot())),
    "one_file": fetched(Path(one).parent),
    "tensors": {name: [tensor.dtype, list(tensor.shape)] for name, tensor in header.tensors.items()},
    "listed": api.list_repo_files(REPO),
    "tree": sorted(entry.path for entry in api.list_repo_tree(REPO, revision=COMMIT, expand=True)),
    "sha": info.sha,
    "sizes": {sibling.rfilename: [sibling.size, sibling.lfs.sha256] for sibling in info.siblings},
    "private": info.private,
    "snapshots": {str(revision): fetched(snapshot(revision)) for revision in (None, "main", "round-1", COMMIT)},
    "folder": Path(snapshot(COMMIT)).name,
    "only_config": sorted(fetched(snapshot(COMMIT, cache_dir="some", allow_patterns="*.json"))),
    "exists": [api.file_exists(REPO, name) for name in ("README.md", "none")],
    "no_file": fault(lambda: file("none.bin")),
    "no_revision": fault(lambda: file("README.md", revision="round-9")),
    "no_revision_listed": fault(lambda: api.model_info(REPO, revision="round-9")),
    "no_repo": fault(lambda: snapshot_download("digits/none", **OPTIONS)),
    "hidden_repo": fault(lambda: api.model_info(asked["hidden"])),
    "wrong_token_warm": with_token("wrong", lambda: fault(lambda: api.model_info(REPO))),
    "no_revision_warm": fault(lambda: snapshot("round-9")),
}
sys.stdout.write(json.dumps(told))
