"""The battery against a real registry: every file gets its code, and none leaves anything behind."""

from pathlib import Path

import pytest
from contract.hostile import BATTERY, Hostile, good
from unit.registry.world import World, app_in, problem


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    world = World(app_in(tmp_path_factory.mktemp("registry"))).prepare()  # its schema is the layout of the battery
    world.grant(max_bytes={"connector": 16 << 20})  # or the limit of size, which comes first, would hide the others
    yield world
    world.app.state.registry.database.close()


@pytest.mark.parametrize("hostile", BATTERY, ids=lambda hostile: hostile.name)
def test_an_upload_is_answered_with_its_code(world: World, hostile: Hostile):
    answer = world.put(hostile.make())
    if hostile.admission is None:
        assert answer.status_code == 201, answer.text
    else:
        assert problem(answer) == (422, hostile.admission)
    staging: Path = world.app.state.registry.settings.state_dir / "staging"
    assert list(staging.iterdir()) == []


def test_the_file_that_the_battery_is_made_from_is_admitted(world: World):
    assert world.put(good()).status_code == 201
