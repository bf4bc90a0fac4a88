"""Editing a federation file in place: what was written stays as it was written."""

import pytest
import yaml
from pilot_cli.federation_text import CannotEdit, with_disabled, with_entry

BLOCK = """\
apiVersion: pilot/v1alpha1
kind: Federation
metadata: {name: here}
spec:
  models:
    - name: m
      path: model
  tasks: [{name: vqa}, {name: caption}]   # two of them
  clients:
    # the first hospital
    - name: vqa-1
      task: vqa
      data: data/vqa-1   # on the old disk
    # the second hospital
    - name: vqa-2
      task: vqa
      data: "data/vqa 2"   # a space
# the end
"""
FLOW = """\
kind: Federation
spec:
  tasks:
  - {name: vqa}
  clients:
  - {name: vqa-1, task: vqa, data: data/vqa-1} # one
  - {name: vqa-2, task: vqa, data: data/vqa-2}
"""
SAFE_DUMPED = yaml.safe_dump(yaml.safe_load(BLOCK), sort_keys=False)
ENTRY = {"name": "cap-1", "task": "caption", "data": "data/cap-1"}


@pytest.mark.parametrize("text", [BLOCK, FLOW, SAFE_DUMPED, BLOCK.replace("# the end\n", ""), FLOW.rstrip()])
def test_an_entry_is_added_at_the_end_and_nothing_else_changes(text):
    changed = with_entry(text, "clients", ENTRY)
    expected = yaml.safe_load(text)
    expected["spec"]["clients"].append(ENTRY)
    assert yaml.safe_load(changed) == expected
    kept = iter(changed.splitlines())
    assert all(line in kept for line in text.splitlines())


def test_an_added_entry_looks_like_its_neighbours():
    block = with_entry(BLOCK, "clients", ENTRY)
    assert '      data: "data/vqa 2"   # a space\n    - name: cap-1\n      task: caption\n' in block
    assert block.endswith("      data: data/cap-1\n# the end\n")
    assert with_entry(FLOW, "clients", ENTRY).endswith("  - {name: cap-1, task: caption, data: data/cap-1}\n")
    tasks = with_entry(BLOCK, "tasks", {"name": "ocr"})
    assert "  tasks: [{name: vqa}, {name: caption}, {name: ocr}]   # two of them\n" in tasks


@pytest.mark.parametrize("data", ["data/a b", "c:#x", "true", "12", "{x}", "data/\u00e4"])
def test_a_value_that_yaml_would_read_otherwise_is_quoted(data):
    changed = with_entry(BLOCK, "clients", {**ENTRY, "data": data})
    assert yaml.safe_load(changed)["spec"]["clients"][-1]["data"] == data


@pytest.mark.parametrize("text", [BLOCK, FLOW, SAFE_DUMPED])
@pytest.mark.parametrize("client", ["vqa-1", "vqa-2"])
def test_a_client_is_disabled_and_enabled_where_it_stands(text, client):
    off = with_disabled(text, client, True)
    states = {c["name"]: c.get("disabled", False) for c in yaml.safe_load(off)["spec"]["clients"]}
    assert states == {name: name == client for name in ("vqa-1", "vqa-2")}
    on = with_disabled(off, client, False)
    assert yaml.safe_load(on)["spec"]["clients"][int(client[-1]) - 1]["disabled"] is False
    assert [line.count("#") for line in on.splitlines()] == [line.count("#") for line in off.splitlines()]


def test_enabling_who_was_never_disabled_changes_nothing():
    assert with_disabled(BLOCK, "vqa-1", False) == BLOCK


def test_what_is_not_there_cannot_be_edited():
    with pytest.raises(CannotEdit, match="'vqa-9'"):
        with_disabled(BLOCK, "vqa-9", True)
    with pytest.raises(CannotEdit, match=r"spec\.sites"):
        with_entry(BLOCK, "sites", ENTRY)
    with pytest.raises(CannotEdit, match=r"spec\.clients"):
        with_entry("spec: {clients: []}", "clients", ENTRY)
