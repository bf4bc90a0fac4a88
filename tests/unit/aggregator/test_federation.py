"""The federation file, looked at whenever somebody asks."""

import pytest
import yaml
from pilot_aggregator.federation import FederationFile, chosen, read_federation
from pilot_proto.problem import InvalidDocument
from unit.aggregator.world import federation, federation_in


def rewrite(file, change):
    document = yaml.safe_load(file.read_text())
    change(document["spec"])
    file.write_text(yaml.safe_dump(document))


def names(known):
    return [client.name for client in known.now().spec.clients]


def test_a_change_counts_from_the_next_look(tmp_path):
    file = federation_in(tmp_path)
    known = FederationFile(file)
    before = known.view().status.digest
    rewrite(file, lambda spec: spec["clients"].append({"name": "vqa-3", "task": "vqa", "data": "/data/vqa-3"}))
    assert names(known) == ["cap-1", "vqa-1", "vqa-2", "vqa-3"]
    assert known.view().status.digest != before
    assert known.view().status.error == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "this is not YAML"),
        ("kind: Federation", "this key is required"),
        ("", "this must be a mapping"),
    ],
)
def test_a_file_with_a_fault_changes_nothing_and_says_why(tmp_path, text, said):
    file = federation_in(tmp_path)
    good = file.read_text()
    known = FederationFile(file)
    file.write_text(text)
    assert names(known) == ["cap-1", "vqa-1", "vqa-2"]
    assert said in known.view().status.error
    file.write_text(good)
    assert known.view().status.error == ""


def test_a_file_that_is_away_for_a_moment_changes_nothing(tmp_path):
    file = federation_in(tmp_path)
    known = FederationFile(file)
    moved = file.rename(tmp_path / "moved")
    assert names(known) == ["cap-1", "vqa-1", "vqa-2"]
    assert "cannot be read" in known.view().status.error
    moved.rename(file)
    assert known.view().status.error == ""


def test_a_model_that_left_the_file_is_known_to_the_runs_that_use_it(tmp_path):
    file = federation_in(tmp_path)
    known = FederationFile(file)
    rewrite(file, lambda spec: spec["models"].pop(0))
    assert [model.name for model in known.now().spec.models] == ["large"]
    assert known.model_path("tiny") == "/models/tiny"
    with pytest.raises(FileNotFoundError, match="no model 'tiny' any more"):
        FederationFile(file).model_path("tiny")


def test_two_clients_with_one_data_folder_are_refused_with_the_rule(tmp_path):
    file = federation_in(tmp_path)
    known = FederationFile(file)
    rewrite(file, lambda spec: spec["clients"][1].update(data="/data/cap-1/../cap-1/"))
    error = known.view().status.error
    assert "'cap-1' and 'vqa-1' have one data folder, /data/cap-1" in error
    assert "count twice" in error


def test_folders_that_are_one_behind_links_or_inside_another_are_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    file = federation_in(tmp_path)
    rewrite(file, lambda spec: (spec["clients"][0].update(data="data"), spec["clients"][1].update(data="link")))
    with pytest.raises(InvalidDocument, match="have one data folder"):
        read_federation(file)
    rewrite(file, lambda spec: spec["clients"][1].update(data="link/more"))
    with pytest.raises(InvalidDocument, match="one inside the other"):
        read_federation(file)
    rewrite(file, lambda spec: spec["clients"][1].update(data="database"))
    assert read_federation(file).spec.clients[1].data == str(tmp_path / "database")


def test_a_disabled_client_may_have_a_successor_with_its_data(tmp_path):
    file = federation_in(tmp_path)
    rewrite(
        file, lambda spec: (spec["clients"][0].update(data="/d", disabled=True), spec["clients"][1].update(data="/d"))
    )
    assert [client.name for client in chosen(read_federation(file), "all")] == ["vqa-1", "vqa-2"]


def test_chosen_clients_are_taken_as_named():
    assert [client.name for client in chosen(federation(), ("vqa-2", "cap-1"))] == ["cap-1", "vqa-2"]
