"""What each client has done in each run is kept as it happens, and found again by a replay and by the migration."""

from databases import every_database  # noqa: F401
from pilot_disk.database import writer
from pilot_registry.database import MIGRATIONS
from pilot_registry.tables import Participation
from sqlalchemy import select
from unit.registry.world import World, safetensors, tensors


def rows(world: World) -> dict[tuple[str, str], tuple]:
    with world.app.state.registry.database.reading() as session:
        found = session.scalars(select(Participation).order_by(Participation.client, Participation.sequence)).all()
        return {
            (row.client, row.run): (row.task, row.sequence, row.asked, row.answered, row.sent, row.answered_at)
            for row in found
        }


def busy(world: World) -> World:
    """Two rounds of digits, one that nobody answers, and a second run."""
    world.answer("vqa-1", 1, seed=1)
    world.answer("vqa-2", 1, seed=2)
    world.seal(1)
    world.answer("vqa-1", 2, seed=3)
    world.grant("vqa-2", 2)
    World(world.app, run="digits-2", uid="another").grant("vqa-1", 1)
    return world


def test_what_a_client_was_asked_and_sent_adds_up(world: World):
    busy(world)
    sizes = [
        item["size"]
        for version in world.call("admin", "GET", "/adapters?kind=update&client=vqa-1").json()["items"]
        for item in version["files"].values()
    ]
    found = rows(world)
    assert found.keys() == {("vqa-1", "digits"), ("vqa-1", "digits-2"), ("vqa-2", "digits")}
    task, first, asked, answered, sent, at = found["vqa-1", "digits"]
    assert (task, asked, answered, sent) == ("vqa", 2, 2, sum(sizes))
    assert first < found["vqa-2", "digits"][1] < found["vqa-1", "digits-2"][1]
    assert at > found["vqa-2", "digits"][5]
    assert found["vqa-2", "digits"][2:4] == (2, 1)
    assert found["vqa-1", "digits-2"][2:] == (1, 0, 0, None)


def test_what_is_sent_again_counts_once(world: World):
    grant = world.grant()
    adapter = safetensors(tensors(1))
    manifest, told = world.update_for(grant, adapter)
    for body, kind in ((adapter, "connector"), (told, "update")):
        world.put(body, kind)
    assert world.commit(manifest).status_code == 201
    before = rows(world)
    assert world.put_grant(grant).status_code == 200
    assert world.commit(manifest).status_code == 200
    assert rows(world) == before
    assert before["vqa-1", "digits"][2:4] == (1, 1)


def test_a_replay_and_the_migration_find_the_same(world: World):
    before = rows(busy(world))
    world.call("admin", "POST", "/admin/reindex")
    assert rows(world) == before
    database = world.app.state.registry.database
    revise(database.engine, "0002")
    database.upgrade()
    assert rows(world) == before


def revise(engine, revision: str) -> None:
    """Take the schema back to an older revision."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writer(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
