import copy
from collections.abc import Iterator
from typing import Any

import pytest
from pilot_proto.base import as_json
from pilot_proto.federation import Federation
from pilot_proto.presets import expand
from pilot_proto.problem import FieldError, InvalidDocument, validated
from pilot_proto.run import Run

RUN: dict[str, Any] = as_json(
    expand(
        {
            "apiVersion": "pilot/v1alpha1",
            "kind": "Run",
            "metadata": {"name": "digits"},
            "spec": {"model": "digits-tiny", "rounds": ["stage-2"], "start_from": {"run": "older", "round": 1}},
        }
    )
)
FEDERATION: dict[str, Any] = {
    "apiVersion": "pilot/v1alpha1",
    "kind": "Federation",
    "metadata": {"name": "f"},
    "spec": {
        "models": [{"name": "digits-tiny", "path": "m"}],
        "tasks": [{"name": "vqa", "title": "questions"}],
        "clients": [{"name": "vqa-1", "task": "vqa", "data": "d"}, {"name": "vqa-2", "task": "vqa", "data": "d"}],
    },
}


def faults(document: Any, model: Any = Run) -> tuple[FieldError, ...]:
    with pytest.raises(InvalidDocument) as caught:
        validated(model, document, "document")
    return caught.value.errors


def with_spec(**changes: Any) -> dict[str, Any]:
    return {**RUN, "spec": {**RUN["spec"], **changes}}


def keys(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(key, str):
            yield (*place, key)
        yield from keys(inner, (*place, key))


def misspelt(document: Any, place: tuple[str | int, ...]) -> tuple[Any, str]:
    """The document with one key's last letter doubled, and a pointer to it."""
    wrong = copy.deepcopy(document)
    here = wrong
    for step in place[:-1]:
        here = here[step]
    key = f"{place[-1]}{str(place[-1])[-1]}"
    here[key] = here.pop(place[-1])
    return wrong, "".join(f"/{step}" for step in (*place[:-1], key))


@pytest.mark.parametrize(
    ("model", "document", "place"),
    [pytest.param(Run, RUN, place, id="/".join(map(str, place))) for place in keys(RUN)]
    + [pytest.param(Federation, FEDERATION, place, id="/".join(map(str, place))) for place in keys(FEDERATION)],
)
def test_a_misspelt_key_at_any_depth_is_found_and_the_right_one_suggested(model, document, place):
    wrong, pointer = misspelt(document, place)
    unknown = [fault for fault in faults(wrong, model) if fault.message.startswith("unknown key")]
    assert [(fault.pointer, fault.hint) for fault in unknown] == [(pointer, f"did you mean {place[-1]!r}?")]


@pytest.mark.parametrize("key", ["int", "str", "strategy", "tuple[x]", "literal['all']", "function-x"])
def test_a_key_that_looks_like_an_inner_name_of_pydantic_is_still_a_key(key: str):
    (fault,) = faults(with_spec(**{key: 1}))
    assert (fault.pointer, fault.message) == (f"/spec/{key}", f"unknown key {key!r}")


def test_a_key_that_is_like_nothing_gets_no_suggestion():
    assert faults(with_spec(zzzzzz=1)) == (FieldError(pointer="/spec/zzzzzz", message="unknown key 'zzzzzz'"),)


def test_a_pointer_escapes_what_json_pointers_must_escape():
    assert faults(with_spec(**{"a/b~c": 1}))[0].pointer == "/spec/a~1b~0c"


def test_a_required_key_that_is_missing_is_named_where_it_should_stand():
    document = {**RUN, "spec": {key: value for key, value in RUN["spec"].items() if key != "model"}}
    assert faults(document) == (FieldError(pointer="/spec/model", message="this key is required"),)


def test_in_a_list_the_fault_is_at_its_index():
    assert [fault.pointer for fault in faults(with_spec(clients=["vqa-1", "VQA"]))] == ["/spec/clients/1"]
    assert [fault.pointer for fault in faults(with_spec(rounds=["stage-1", "stage-3"]))] == ["/spec/rounds/1"]


def test_a_faulty_item_is_not_reported_as_an_empty_list_too():
    wrong = copy.deepcopy(FEDERATION)
    del wrong["spec"]["tasks"][0]["name"]
    assert [fault.pointer for fault in faults(wrong, Federation)] == ["/spec/tasks/0/name"]


def test_a_wrong_value_is_shown_with_the_rule_and_the_nearest_choice():
    (fault,) = faults(with_spec(advance="manul"))
    assert fault.pointer == "/spec/advance"
    assert "'auto' or 'manual'" in fault.message
    assert "'manul'" in fault.message
    assert fault.hint == "did you mean 'manual'?"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": 3}, "this must be a mapping of keys to values, not 3"),
        ({"training": None}, "this must be a mapping of keys to values"),
        ({"rounds": "stage-1"}, "this must be a list, not 'stage-1'"),
        ({"participation": {"quorum": "most"}}, "quorum 'most' is neither a count nor a percentage"),
        ({"participation": {"quorum": 0}}, "quorum 0 is below 1"),
        ({"participation": {"quorum": "101%"}}, "quorum '101%' is neither"),
        ({"participation": {"attempts": "3"}}, "valid integer, not '3'"),
        ({"evaluation": {"samples": -1}}, "greater than or equal to 0, not -1"),
    ],
)
def test_a_wrong_type_or_number_is_said_in_words_of_the_document(changes: dict[str, Any], message: str):
    (fault,) = faults(with_spec(**changes))
    assert message in fault.message


@pytest.mark.parametrize("document", [None, 3, "run", [], [RUN]])
def test_what_is_no_mapping_at_all_is_one_fault_at_the_root(document: Any):
    (fault,) = faults(document)
    assert fault.pointer == ""
    assert "mapping" in fault.message


def test_a_key_that_is_no_text_is_a_fault_and_not_an_accident():
    (fault,) = faults({**RUN, 1: "x"})
    assert (fault.pointer, fault.message) == ("/1", "Keys should be strings, not 1")


def test_the_message_of_the_error_lists_every_fault_with_its_hint():
    with pytest.raises(InvalidDocument) as caught:
        validated(Run, with_spec(advanse="auto", modell="x"), "run")
    assert str(caught.value) == (
        "the run is not valid: /spec/advanse: unknown key 'advanse' (did you mean 'advance'?); "
        "/spec/modell: unknown key 'modell' (did you mean 'model'?)"
    )


def test_a_rule_over_several_fields_is_told_in_its_own_words():
    wrong = copy.deepcopy(FEDERATION)
    wrong["spec"]["clients"][1]["task"] = "vqaa"
    (fault,) = faults(wrong, Federation)
    assert fault.message.startswith("client 'vqa-2' has the unknown task 'vqaa'; tasks: vqa")


def test_a_number_that_yaml_takes_for_text_comes_with_the_spelling_that_works():
    (fault,) = faults(with_spec(training={"max_grad_norm": "1e-3"}))
    assert "2.0e-5" in fault.hint
