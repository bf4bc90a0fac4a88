import re

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import example, given
from hypothesis import strategies as st
from pilot_proto import names
from pilot_proto.names import ADAPTER_FILE, RESERVED, Name, check_name
from pydantic import TypeAdapter

KUBERNETES_LABEL = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

letters = st.text("abz019-", min_size=1, max_size=42)
valid = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True).filter(
    lambda name: "--" not in name and name not in RESERVED
)


@given(valid, valid)
@example("a" * 40, "b" * 40)
def test_every_repository_of_a_valid_name_is_one_that_hugging_face_takes(run: str, name: str):
    assert check_name(run) == run
    repositories = [names.update_repo(run, name), f"released/{name}"]
    for kind in ADAPTER_FILE:
        repositories += [names.base_repo(run, kind), names.task_repo(run, name, kind)]
        repositories += [names.client_repo(run, name, kind), names.global_repo(run, kind)]
    for repository in repositories:
        validate_repo_id(repository)


@given(valid)
def test_every_valid_name_is_a_kubernetes_label(name: str):
    assert KUBERNETES_LABEL.fullmatch(check_name(name))
    assert len(name) <= 63


@given(st.one_of(letters, st.text(max_size=50)))
def test_a_name_is_accepted_exactly_when_it_follows_the_rule(name: str):
    follows = (
        1 <= len(name) <= 40
        and set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        and name[0] != "-"
        and name[-1] != "-"
        and "--" not in name
        and name not in RESERVED
    )
    if follows:
        assert check_name(name) == name
    else:
        with pytest.raises(ValueError, match=r"is not a name|contains '--'|is reserved"):
            check_name(name)


@given(st.one_of(letters, valid, st.sampled_from(sorted(RESERVED))))
def test_the_schema_of_a_name_says_the_same_as_the_code(name: str):
    schema = TypeAdapter(Name).json_schema()
    by_schema = re.search(schema["pattern"], name) and name not in schema["not"]["enum"]
    try:
        check_name(name)
    except ValueError:
        assert not by_schema
    else:
        assert by_schema


@pytest.mark.parametrize("name", ["Vqa", "vqa_1", "vqa.1", "", "a" * 41, "-a", "a-", "a--b", "vqa\n", "api", "base"])
def test_a_name_that_breaks_a_rule_is_refused(name: str):
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        check_name(name)
