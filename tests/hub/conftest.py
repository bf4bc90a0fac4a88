"""A registry process with a published personal LoRA, for clients of other makes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from unit.registry.published import one_text_adapter
from unit.registry.test_process import serving
from unit.registry.world import World, app_in

REPO = "digits/client-vqa-1-text"
HIDDEN = "digits/client-vqa-1-update"


@dataclass(frozen=True)
class Served:
    """A registry that listens, and what it has."""

    url: str
    commit: str
    files: dict[str, bytes]

    @property
    def digests(self) -> dict[str, str]:
        """Path to sha256."""
        return {path: hashlib.sha256(body).hexdigest() for path, body in self.files.items()}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    world = World(app_in(folder)).prepare()
    commit = one_text_adapter(world)
    names = ("README.md", "adapter_config.json", "adapter_model.safetensors")
    files = {name: world.call("viewer", "GET", f"//{REPO}/resolve/{commit}/{name}").content for name in names}
    world.app.state.registry.database.close()
    with serving(folder) as (_, url):
        yield Served(url, commit, files)


@pytest.fixture
def user(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody whose key is in a file, with empty caches."""
    token = tmp_path / "token"
    token.write_text("viewer\n")
    return {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN_PATH": str(token),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
