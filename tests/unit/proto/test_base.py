import json

import pytest
from pilot_proto.base import as_json
from pilot_proto.grant import RoundView
from pilot_proto.manifest import Parent
from pilot_proto.plan import KindPlan
from pilot_proto.run import Trigger
from pilot_proto.training import Lora
from pydantic import ValidationError

COMMIT = "0" * 40
KIND_PLAN = {"kind": "text", "rule": {"rule": "mean"}, "inputs": [], "outputs": []}


def test_a_request_refuses_a_key_that_it_does_not_know():
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Trigger.model_validate({"through": 1, "trough": 2})


def test_a_request_takes_no_text_for_a_number():
    with pytest.raises(ValidationError, match="int_type"):
        Lora.model_validate({"r": "64"})


def test_a_stored_document_ignores_a_key_that_it_does_not_know():
    assert Parent.read(json.dumps({"repo": "r", "commit": COMMIT, "later": 1})) == Parent(repo="r", commit=COMMIT)


def test_reading_ignores_unknown_keys_inside_a_request_that_was_stored():
    newer = {**KIND_PLAN, "rule": {"rule": "mean", "later": 1}}
    assert KindPlan.read(json.dumps(newer)) == KindPlan.model_validate(KIND_PLAN)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"repo": "r", "commit": COMMIT, "later": 1}, id="an unknown key"),
        pytest.param({"repo": "r", "commit": COMMIT, "coefficient": "1"}, id="a wrong type"),
        pytest.param({"repo": "r", "commit": "xyz"}, id="no commit"),
    ],
)
def test_a_stored_document_on_its_way_in_is_read_strictly(document: dict):
    with pytest.raises(ValidationError):
        Parent.read_strictly(json.dumps(document))


def test_strictness_reaches_every_depth():
    update = {"client": "a", "task": "t", "repo": "r", "commit": COMMIT, "files": {}, "num_examples": 1}
    RoundView.read_strictly(json.dumps({"admitted": [update]}))
    with pytest.raises(ValidationError, match="extra_forbidden"):
        RoundView.read_strictly(json.dumps({"admitted": [{**update, "later": 1}]}))


def test_documents_do_not_change_once_they_are_made():
    with pytest.raises(ValidationError, match="frozen"):
        Parent(repo="r", commit=COMMIT).repo = "other"  # type: ignore[misc]


def test_json_has_the_names_of_the_wire_and_no_absent_fields():
    assert as_json(Parent(repo="r", commit=COMMIT)) == {"repo": "r", "commit": COMMIT}
