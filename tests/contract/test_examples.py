"""The golden documents of proto/examples: they must validate for ever, and mean the same for ever."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.conftest import ROOT
from pilot_proto.assignment import Assignment
from pilot_proto.base import Stored, as_json
from pilot_proto.canonical import canonical_bytes, commit_of, digest_of, document_digest
from pilot_proto.dataset import Dataset
from pilot_proto.federation import Federation
from pilot_proto.grant import Grant, Publication, SealedRound
from pilot_proto.manifest import Manifest
from pilot_proto.names import update_repo
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.presets import expand
from pilot_proto.problem import InvalidDocument, Problem, validated
from pilot_proto.update import UPDATE_FILE, Update

EXAMPLES = ROOT / "proto" / "examples"

STORED: dict[str, tuple[type[Stored], str]] = {
    "assignment.json": (Assignment, "sha256:0b657774e0ed8667df8045405a9f64917ce35b6d5cdb80aa553302f8dc2be09b"),
    "grant.json": (Grant, "sha256:2599a6d4625b2fe0a999df51ab9f60484d7ef33ee90311bc64d3bfd41c1da875"),
    "update.json": (Update, "sha256:57eea110fc3504d79c56761c4aa278cee5b717a78a49fe924214bf61d1b21a2a"),
    "manifest-update.json": (Manifest, "sha256:039bcb9f4a424584d26f6fb0bfe2f6ba6030ed58176e4e49249859186f220664"),
    "manifest-output.json": (Manifest, "sha256:8984aaab1f061ed96e8b980f6aeea54d2e00e55569e9b3a69169ea81bf0b42a8"),
    "sealed-round.json": (SealedRound, "sha256:699688b7904cb7bd69822fd3c36e5d1d772c011f2b9cf20bd00aa1e497a682a0"),
    "plan.json": (MergePlan, "sha256:36434794a9cc91908a67e2fde175a3dfb5a78e521bcb074b33b6c9ce544909d5"),
    "ledger.json": (Ledger, "sha256:c01cb6f9e05d8601609c682434c36925c638702604eefdac838cbbfa59cf72a0"),
    "publication.json": (Publication, "sha256:d538bff04009357facc15bae001aeeafc6635576e36ec40bc6c73fd7f009e7c5"),
    "problem.json": (Problem, "sha256:28801dc7cf53e9eb674e055f4a1a07b7c729e8cabf2a326cc50a4cd125c7f0c3"),
}
"""File to model, and to the digest of its canonical bytes. A digest that changes breaks every committed document."""

MAPS = {"files", "task_connectors", "schemas", "max_bytes", "losses", "router", "adapters", "detail", "change_norm"}
MAPS |= {"shares", "outputs"}
"""Fields whose keys are data: names of files, tasks, repositories."""

WRITTEN = {"run.yaml", "run-minimal.yaml", "federation.yaml", "dataset.yaml"}


def raw(name: str) -> str:
    return (EXAMPLES / name).read_text()


def document(name: str) -> Any:
    return yaml.safe_load(raw(name)) if name.endswith(".yaml") else json.loads(raw(name))


def mappings(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all objects in a document."""
    if isinstance(value, dict):
        yield place
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from mappings(inner, (*place, key))


def extended(value: Any, place: tuple[str | int, ...]) -> Any:
    """The document with one key more, at a place."""
    result = copy.deepcopy(value)
    here = result
    for step in place:
        here = here[step]
    here["a_key_of_later"] = {"x": 1}
    return result


def read(model: type[Stored], name: str) -> Any:
    return model.read_strictly(raw(name))


def test_every_example_is_tested():
    assert {file.name for file in EXAMPLES.iterdir()} == {*STORED, *WRITTEN}


@pytest.mark.parametrize("name", STORED)
def test_an_example_is_accepted_strictly_and_nothing_of_it_is_lost(name: str):
    assert as_json(read(STORED[name][0], name)) == document(name)


@pytest.mark.parametrize("name", STORED)
def test_the_canonical_digest_of_an_example_is_what_it_always_was(name: str):
    model, digest = STORED[name]
    assert document_digest(read(model, name)) == digest
    assert document_digest(document(name)) == digest


@pytest.mark.parametrize("name", STORED)
def test_an_example_with_a_later_key_anywhere_reads_the_same_but_is_refused_on_its_way_in(name: str):
    model = STORED[name][0]
    for place in mappings(document(name)):
        if place and place[-1] in MAPS:
            continue
        longer = json.dumps(extended(document(name), place))
        assert model.read(longer) == read(model, name), place
        with pytest.raises(ValueError, match="extra_forbidden"):
            model.read_strictly(longer)


def test_the_whole_run_is_the_minimal_run_with_every_default_written_out():
    assert as_json(expand(document("run.yaml"))) == document("run.yaml")
    assert expand(document("run-minimal.yaml")) == expand(document("run.yaml"))


def test_every_field_of_the_whole_run_has_a_comment():
    for line in raw("run.yaml").splitlines():
        opens_a_block = line.rstrip().endswith(":")
        assert "#" in line or opens_a_block, line


def test_what_stands_commented_out_in_the_whole_run_is_valid_too():
    later = raw("run.yaml").replace("# max_examples:", "max_examples:").replace("# start_from:", "start_from:")
    spec = expand(yaml.safe_load(later)).spec
    assert spec.merge.max_examples == 100_000
    assert spec.start_from is not None


def test_the_federation_and_the_data_set_are_valid():
    federation = validated(Federation, document("federation.yaml"), "federation")
    assert {client.task for client in federation.spec.clients} == {task.name for task in federation.spec.tasks}
    assert validated(Dataset, document("dataset.yaml"), "dataset").spec.box_frame == "original"


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_document_that_people_write_refuses_a_key_that_it_does_not_know(name: str):
    models = {"federation.yaml": Federation, "dataset.yaml": Dataset}
    tried = 0
    for place in mappings(document(name)):
        wrong = extended(document(name), place)
        with pytest.raises(InvalidDocument) as caught:
            validated(models[name], wrong, name) if name in models else expand(wrong)
        pointer = "".join(f"/{step}" for step in (*place, "a_key_of_later"))
        assert [fault.pointer for fault in caught.value.errors] == [pointer]
        tried += 1
    assert tried >= 3


def test_the_examples_of_a_round_tell_one_story():
    assignment, grant = read(Assignment, "assignment.json"), read(Grant, "grant.json")
    update, manifest = read(Update, "update.json"), read(Manifest, "manifest-update.json")
    sealed, plan = read(SealedRound, "sealed-round.json"), read(MergePlan, "plan.json")
    publication, output = read(Publication, "publication.json"), read(Manifest, "manifest-output.json")
    assert grant.assignment == update.assignment == document_digest(assignment)
    assert manifest.files[UPDATE_FILE].digest == digest_of(canonical_bytes(update))
    admitted = next(u for u in sealed.updates if u.client == assignment.client)
    assert (admitted.repo, admitted.files) == (update_repo(assignment.run, assignment.client), manifest.files)
    assert admitted.commit == commit_of(canonical_bytes(manifest))
    assert {i.commit for kind in plan.kinds for i in kind.inputs} == {u.commit for u in sealed.updates}
    assert publication.plan == output.plan == document_digest(plan)
    assert publication.ledger == document_digest(read(Ledger, "ledger.json"))
    assert publication.outputs[output.repo] == commit_of(canonical_bytes(output))
    assert {parent.commit for parent in output.parents} <= {u.commit for u in sealed.updates}


def test_the_problem_is_what_the_fault_in_it_gives():
    wrong = document("run-minimal.yaml")
    wrong["spec"]["merge"] = {"text": {"rule": "nearest", "neighbors": 1}}
    with pytest.raises(InvalidDocument) as caught:
        expand(wrong)
    assert caught.value.errors == read(Problem, "problem.json").errors


def test_the_committed_text_is_sorted_and_ends_in_a_newline():
    for name in STORED:
        assert raw(name) == json.dumps(document(name), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_examples_are_a_flat_folder_of_small_files():
    assert all(Path(file).is_file() and file.stat().st_size < 10_000 for file in EXAMPLES.iterdir())
