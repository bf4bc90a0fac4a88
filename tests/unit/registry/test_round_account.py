"""What the registry alone tells of a round; also after its index was built again."""

import pytest
from databases import every_database  # noqa: F401
from pilot_http.auth import Principal
from pilot_http.problems import NotFound
from pilot_proto.plan import Ledger
from pilot_registry import overview
from pilot_registry.flagged import flagged_lately
from pilot_registry.round_account import account
from unit.registry.published import publish
from unit.registry.ui.merged_rounds import entry, one_round, plan
from unit.registry.world import UID, World

VIEWER = Principal("viewer")


def told(world: World, number: int = 1, who: Principal = VIEWER):
    return account(world.app.state.registry, who, "digits", number)


def test_a_published_round_has_everything_that_its_page_needs(world: World):
    one_round(world, lost=("cap-1",))
    found = told(world)
    assert (found.program, found.sealed, found.published) == ("stage-1", True, True)
    assert [(each.client, each.task) for each in found.granted] == [
        *(("cap-1", "caption"), ("vqa-1", "vqa"), ("vqa-2", "vqa"))
    ]
    assert [each.client for each in found.accepted] == ["vqa-1", "vqa-2"]
    assert found.granted_at < found.accepted[0].at < found.sealed_at < found.published_at
    assert [(each.repo, each.visible) for each in found.outputs] == [("digits/task-vqa-connector", True)]
    assert found.rounds == (0, 1)
    ledger = world.app.state.registry.documents.read(Ledger, found.ledger)
    assert [each.reason for each in ledger.entries] == ["Late", "", ""]


def test_an_open_round_has_who_may_answer_and_who_has(world: World):
    world.answer("vqa-1", seed=1)
    world.grant("vqa-2")
    found = told(world)
    assert (found.sealed, found.published, found.sealed_at, found.plan) == (False, False, None, None)
    assert ([each.client for each in found.granted], len(found.accepted)) == (["vqa-1", "vqa-2"], 1)


def test_the_times_of_round_1_are_not_those_of_round_10(world: World):
    world.grant("vqa-1", 10)
    world.grant("vqa-1", 1)
    world.seal(10)
    assert told(world, 1).sealed_at is None
    assert told(world, 10).granted_at < told(world, 1).granted_at


def test_an_output_of_a_single_contributor_is_named_and_not_opened(world: World):
    world.answer("vqa-1", seed=1)
    world.seal()
    single = world.output("client-vqa-1-connector", contributors=("vqa-1",))
    publish(world, 1, single, plan=plan(world, 1))
    (output,) = told(world).outputs
    assert output.visible is False
    assert told(world, who=Principal("admin")).outputs[0].visible is True


def test_a_deleted_update_is_still_told(world: World):
    one_round(world)
    world.call("aggregator", "POST", f"/rounds/{UID}/1/retire")
    assert all(each.deleted_at for each in told(world).accepted)


@pytest.mark.parametrize("number", [7, -1])
def test_a_round_that_nobody_was_granted_is_not_known(world: World, number: int):
    with pytest.raises(NotFound):
        told(world, number)
    with pytest.raises(NotFound):
        account(world.app.state.registry, VIEWER, "nothing", 0)


def test_after_the_index_was_built_again_the_account_is_the_same(world: World):
    one_round(world)
    before = told(world)
    world.app.state.registry.journal.rebuild()
    assert told(world) == before


def test_flagged_updates_of_the_last_rounds_are_told_the_newest_first(world: World):
    for number in (1, 2):
        world.answer("vqa-1", number, seed=number)
        world.seal(number)
        marked = entry("vqa-1", flags=("suspicious",))
        publish(world, number, plan=plan(world, number), entries=(entry("vqa-2"), marked))
    registry = world.app.state.registry
    assert [(each.round, each.client, each.flags) for each in flagged_lately(registry)] == [
        *((2, "vqa-1", ("suspicious",)), (1, "vqa-1", ("suspicious",)))
    ]
    assert [each.round for each in flagged_lately(registry, rounds=1)] == [2]
    assert [each.round for each in overview.last_ledgers(registry, 5)] == [2, 1, 0]
    assert overview.published_rounds(registry, "digits") == [0, 1, 2]
