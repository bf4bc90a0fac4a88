"""The versions that a round publishes."""

import pytest
from pilot_aggregator.rounds.outputs import publication
from pilot_aggregator.rounds.planning import answers, ledger, merge_plan
from pilot_proto.assignment import FileRef
from pilot_proto.canonical import canonical_bytes, commit_of, digest_of, document_digest
from pilot_proto.names import CONFIG_FILE, update_path
from unit.aggregator.test_planning import BEFORE, FEDAVG, PILOT, measured_of
from unit.aggregator.world import CLIENTS, MODEL, base_slots, plan_of, prepared_round, sealed_of


def published(run, part, before=BEFORE, number=1):
    sealed = sealed_of(part, number)
    answered = answers(CLIENTS, sealed, {}, {}, {})
    plan = merge_plan(run, number, answered, measured_of(part), before)
    made = ledger(run, number, answered, plan, measured_of(part), {})
    merged = {
        o.repo: FileRef(digest=digest_of(o.repo.encode()), size=7)
        for kind in plan.kinds
        for o in kind.outputs
        if o.carried is None
    }
    return publication(plan, made, merged, MODEL, sealed, before), plan, made


def prepared():
    sealed = prepared_round()
    answered = answers({"base": ""}, sealed, {}, {}, {})
    plan = merge_plan(PILOT, 0, answered, {}, {})
    made = ledger(PILOT, 0, answered, plan, {}, {})
    merged = {f"t/base-{kind}": FileRef(digest=digest_of(kind.encode()), size=7) for kind in ("connector", "text")}
    return publication(plan, made, merged, MODEL, sealed, {})


def manifests(found):
    return {m.repo: m for m in found.request.manifests}


def test_every_new_output_has_a_manifest_whose_hash_is_its_commit():
    found, plan, made = published(PILOT, CLIENTS)
    document = found.request.publication
    assert set(document.outputs) == set(manifests(found))
    for repo, manifest in manifests(found).items():
        assert document.outputs[repo] == commit_of(canonical_bytes(manifest))
        assert manifest.plan == document_digest(plan) == document.plan
    assert document.ledger == document_digest(made)


def test_the_same_round_is_the_same_commits():
    first, second = published(PILOT, CLIENTS)[0], published(PILOT, CLIENTS)[0]
    assert canonical_bytes(first.request) == canonical_bytes(second.request)


def test_a_manifest_repeats_what_the_federation_states_of_the_bases_licence():
    sealed = prepared_round()
    answered = answers({"base": ""}, sealed, {}, {}, {})
    plan = merge_plan(PILOT, 0, answered, {}, {})
    merged = {f"t/base-{kind}": FileRef(digest=digest_of(b""), size=0) for kind in ("connector", "text")}
    model = MODEL.model_copy(update={"license": "llama2"})
    found = publication(plan, ledger(PILOT, 0, answered, plan, {}, {}), merged, model, sealed, {})
    assert {m.model_license for m in found.request.manifests} == {"llama2"}
    assert {m.model_license for m in prepared().request.manifests} == {None}


def test_a_manifest_names_those_who_went_in_with_their_weights():
    found, plan, _ = published(FEDAVG, {"vqa-1": "vqa", "vqa-2": "vqa"})
    manifest = manifests(found)["t/global-text"]
    assert manifest.contributors == ("vqa-1", "vqa-2")
    assert [(p.repo, p.coefficient) for p in manifest.parents] == [
        ("t/client-vqa-1-update", 0.5),
        ("t/client-vqa-2-update", 0.5),
    ]
    assert manifest.num_examples == 20
    assert (manifest.model, manifest.model_digest) == (MODEL.name, MODEL.digest)
    assert plan.round == manifest.round == 1


def test_an_output_of_one_client_has_that_single_contributor():
    found = manifests(published(PILOT, CLIENTS)[0])
    assert found["t/task-caption-connector"].contributors == ("cap-1",)
    assert found["t/task-caption-connector"].num_examples == 10
    local = manifests(published(plan_of(method="local"), CLIENTS)[0])
    assert {repo: m.contributors for repo, m in local.items() if m.kind == "text"} == {
        f"t/client-{client}-text": (client,) for client in CLIENTS
    }


def test_what_nobody_answered_for_stays_where_it_is():
    found = published(PILOT, {"vqa-1": "vqa"})[0]
    assert "t/client-vqa-2-text" not in manifests(found)
    # It has been published under this name before, so it is still an output of the round.
    assert found.request.publication.outputs["t/client-vqa-2-text"] == BEFORE["text/client/vqa-2"].commit
    assert found.slots["text/client/vqa-2"] == BEFORE["text/client/vqa-2"]
    # The base stands in for a client that never had an adapter: there is nothing to publish under its name.
    assert "t/client-cap-1-text" not in found.request.publication.outputs
    assert "text/client/cap-1" not in found.slots


def test_new_outputs_take_their_slots_and_the_others_stay():
    found = published(PILOT, CLIENTS)[0]
    assert set(found.slots) == set(BEFORE) | {
        *(f"text/client/{client}" for client in CLIENTS),
        "connector/task/vqa",
        "connector/task/caption",
    }
    assert found.slots["text/base"] == BEFORE["text/base"]
    assert found.slots["text/client/vqa-2"] != BEFORE["text/client/vqa-2"]
    for slot, taken in found.slots.items():
        if taken.repo in manifests(found):
            assert taken.commit == found.request.publication.outputs[taken.repo], slot
            assert taken.files == manifests(found)[taken.repo].files


def test_a_global_output_takes_the_global_slot():
    assert "text/global" in published(FEDAVG, CLIENTS)[0].slots


def test_a_rule_for_everybody_is_not_hidden_by_what_the_run_before_made_for_each():
    personal = {f"{kind}/client/vqa-1": BEFORE["text/client/vqa-2"] for kind in ("connector", "text")}
    per_task = {"connector/task/vqa": BEFORE["text/client/vqa-2"]}
    before = {**BEFORE, **personal, **per_task}
    for run, hidden in ((FEDAVG, {"client", "task"}), (PILOT, set())):
        text = {slot.split("/")[1] for slot in published(run, CLIENTS, before)[0].slots if slot.startswith("text/")}
        assert not text & hidden
    connector = {slot for slot in published(PILOT, CLIENTS, before)[0].slots if slot.startswith("connector/")}
    assert connector == {"connector/base", "connector/task/vqa", "connector/task/caption"}


def test_the_configuration_is_that_of_round_0():
    found = published(PILOT, CLIENTS)[0]
    for manifest in manifests(found).values():
        path = CONFIG_FILE[manifest.kind]
        assert manifest.files[path] == base_slots()[f"{manifest.kind}/base"].files[path]


def test_round_0_publishes_the_base_which_is_nobodys():
    found = prepared()
    assert set(found.slots) == {"connector/base", "text/base"}
    for kind in ("connector", "text"):
        manifest = manifests(found)[f"t/base-{kind}"]
        assert manifest.contributors == ()
        assert manifest.num_examples is None
        path = update_path(kind, CONFIG_FILE[kind])
        assert manifest.files[CONFIG_FILE[kind]] == prepared_round().updates[0].files[path]


def test_a_round_without_a_merge_publishes_no_versions_and_moves_nobody():
    sealed = sealed_of(CLIENTS, 4)
    answered = answers(CLIENTS, sealed, {}, {}, {})
    plan = merge_plan(PILOT, 4, answered, {}, BEFORE)
    found = publication(plan, ledger(PILOT, 4, answered, plan, {}, {}), {}, MODEL, sealed, BEFORE)
    assert found.request.manifests == ()
    assert found.request.publication.outputs == {}
    assert found.slots == BEFORE


def test_another_rule_makes_other_commits():
    commits = [published(run, CLIENTS)[0].request.publication.outputs for run in (PILOT, FEDAVG)]
    assert not set(commits[0].values()) & set(commits[1].values())


@pytest.mark.parametrize("forbidden", ["/data/", "0123456789abcdef0123456789abcdef"])
def test_what_is_committed_holds_no_paths_and_no_uid(forbidden):
    assert forbidden.encode() not in canonical_bytes(published(PILOT, CLIENTS)[0].request)
