"""A run whose base is published, built once and copied for each test."""

import shutil
from pathlib import Path

import minio_server
import pytest
from unit.registry.world import World, app_in


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory):
    """A MinIO server, for all tests of this process."""
    minio_server.demand_minio()
    with minio_server.serving(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("prepared")
    world = World(app_in(folder)).prepare()
    world.app.state.registry.database.close()
    return folder, world.schema


@pytest.fixture
def folder(_prepared: tuple[Path, dict], tmp_path: Path) -> Path:
    """The folder of a registry with a prepared run; nothing has it open."""
    return Path(shutil.copytree(_prepared[0], tmp_path / "registry"))


@pytest.fixture
def world(_prepared: tuple[Path, dict], folder: Path):
    """A prepared run in a registry."""
    world = World(app_in(folder), schema=_prepared[1])
    yield world
    world.app.state.registry.database.close()
