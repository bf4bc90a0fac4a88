"""The generated model card: what it says, to whom, and that nothing foreign in it means anything."""

import re

import pytest
import yaml
from pilot_proto.canonical import digest_of
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.plan import TaskMean
from pilot_registry.hub.card import CardFacts, card, code, metadata
from unit.registry.published import mean, next_round, one_text_adapter
from unit.registry.world import MODEL, World, file_ref, problem

REPO = "digits/client-vqa-1-text"
COMMIT = "c" * 40


def manifest(**changes) -> Manifest:
    known = {
        "repo": REPO,
        "kind": "text",
        "run": "digits",
        "round": 1,
        "client": "vqa-1",
        "task": "vqa",
        "program": "stage-1",
        "model": "digits-tiny",
        "model_digest": MODEL,
        "files": {"adapter_model.safetensors": file_ref(b"")},
        "contributors": ("vqa-1", "vqa-2"),
    }
    return Manifest.model_validate({**known, **changes})


def text_of(**changes) -> str:
    return card(CardFacts(COMMIT, manifest(**changes))).decode()


def head_of(text: str) -> dict:
    _, head, _ = re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)
    return yaml.safe_load(head)


def body_of(text: str) -> str:
    return re.split(r"^---$", text, maxsplit=2, flags=re.MULTILINE)[2].lstrip()


def read(world: World, revision: str = "main", who: str = "viewer") -> str:
    answer = world.call(who, "GET", f"//{REPO}/resolve/{revision}/README.md")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/markdown")
    return answer.text


def test_the_first_line_of_a_text_adapters_card_says_that_it_is_not_the_personal_model(world: World):
    one_text_adapter(world)
    first = body_of(read(world)).splitlines()[0]
    assert "alone is not the personal model" in first
    assert "`pilot export digits --client vqa-1 --round 1 --out DIR` makes the whole" in first


def test_a_card_tells_where_an_adapter_comes_from(world: World):
    commit = one_text_adapter(world)
    text = read(world)
    assert head_of(text) == {
        "base_model": "digits-tiny",
        "base_model_relation": "adapter",
        "library_name": "peft",
        "license": "apache-2.0",
        "pipeline_tag": "image-text-to-text",
        "tags": ["pilot", "federated-learning", "text", "lora", "run:digits", "task:vqa", "client:vqa-1"],
    }
    rows = dict(re.findall(r"^\| ([A-Z][^|]+) \| ([^|]+) \|$", text, re.MULTILINE))
    assert rows["Base model"] == f"`digits-tiny`, files `{MODEL}`"
    assert rows["Licence of the base"] == "`apache-2.0`"
    assert rows["Commit"] == f"`{commit}`"
    assert (rows["Run"], rows["Round"], rows["Task"]) == ("`digits`", "1, `stage-1`", "`vqa`")
    assert rows["Contributors"] == "`vqa-1`, `vqa-2`"
    assert rows["Training samples"] == "20"
    assert rows["Merge rule"].startswith("`nearest`, neighbours `2`, metric `euclidean`, combine `convex`")
    assert re.fullmatch("`sha256:[0-9a-f]{64}`", rows["Merge plan"])
    assert f"| `digits/client-vqa-1-update` | `{'a' * 40}` | 0.75 |" in text
    assert f'revision="{commit}"' in text


def test_a_licence_that_nobody_stated_is_said_to_be_so(world: World):
    one_text_adapter(world, model_license=None)
    assert "license" not in head_of(read(world))
    assert "| Licence of the base | not stated |" in read(world)


def test_a_licence_that_the_hub_does_not_know_keeps_its_name():
    assert metadata(manifest(model_license="Ours, v2: no"))["license_name"] == "Ours, v2: no"
    assert metadata(manifest(model_license="Ours, v2: no"))["license"] == "other"


def test_metrics_are_those_of_the_adapters_task_and_round_and_come_with_the_rounds(world: World):
    commit = one_text_adapter(world)
    before = read(world)
    assert "| `vqa` | `exact-match` | test | local(1) | 0.5 | 2 | 80 |" in before
    assert "merged(" not in before
    next_round(world, mean("merged", 1, 0.625), mean("local", 2, 0.9), mean("merged", 1, 0.3, task="caption"))
    after = read(world, commit)
    assert "| `vqa` | `exact-match` | test | merged(1) | 0.625 | 2 | 80 |" in after
    assert "local(1) | 0.5" in after
    assert "local(2)" not in after
    assert "caption" not in after


def test_an_adapter_of_all_tasks_shows_the_means_of_all():
    means = (mean("merged", 1, 0.5), mean("merged", 1, 4.0, task="caption"))
    text = card(CardFacts(COMMIT, manifest(client=None, task=None), None, means)).decode()
    assert "`caption`" in text
    assert "| Task | all |" in text


def test_a_card_without_plan_or_ledger_is_a_card_all_the_same(world: World):
    """The plan and the ledger of this round are not what they should be, as after a loss."""
    world.answer()
    world.seal()
    assert world.publish(world.publication(world.output("task-vqa-connector", task="vqa"))).status_code == 201
    answer = world.call("viewer", "GET", "//digits/task-vqa-connector/resolve/main/README.md")
    assert answer.status_code == 200
    assert "None yet" in answer.text
    assert "| Merge rule | not stated |" in answer.text


def test_a_card_survives_a_rebuilt_index(world: World):
    one_text_adapter(world)
    before = read(world)
    world.app.state.registry.journal.rebuild()
    assert read(world) == before


def test_a_connectors_card_names_no_library_that_could_not_load_it():
    text = card(CardFacts(COMMIT, manifest(kind="connector", repo="digits/task-vqa-connector", client=None))).decode()
    assert "library_name" not in head_of(text)
    assert "peft" not in text
    assert "`pilot export digits --client CLIENT --round 1 --out DIR`" in body_of(text).splitlines()[0]


def test_a_card_is_as_private_as_its_version(world: World):
    one_text_adapter(world, contributors=("vqa-1",))
    path = f"//{REPO}/resolve/main/README.md"
    assert world.call("client:vqa-1", "GET", path).status_code == 200
    assert problem(world.call("viewer", "GET", path)) == (404, "not_found")
    assert problem(world.call("admin", "GET", path)) == (403, "forbidden")


def test_an_update_has_no_card(world: World):
    world.answer("vqa-1")
    answer = world.call("client:vqa-1", "GET", "//digits/client-vqa-1-update/resolve/main/README.md")
    assert answer.headers["x-error-code"] == "EntryNotFound"


def test_the_same_version_has_the_same_card_for_everybody_who_may_read_it(world: World):
    commit = one_text_adapter(world)
    world.grant("vqa-2", 2, readable=(commit,))
    assert read(world) == read(world, who="client:vqa-2") == read(world, who="admin")
    etag = world.call("viewer", "HEAD", f"//{REPO}/resolve/main/README.md").headers["etag"]
    again = world.call("viewer", "GET", f"//{REPO}/resolve/main/README.md", headers={"if-none-match": etag})
    assert again.status_code == 304
    assert etag.strip('"') == digest_of(read(world).encode()).removeprefix("sha256:")


HOSTILE = [
    "<script>alert(1)</script>",
    "[click](https://evil.test)",
    "a\n---\nlicense: mit",
    "``` `x` ```",
    "a | b | c",
    "'\"; import os",
    "\u2028# heading\r\n- item",
    "https://evil.test",
]


@pytest.mark.parametrize("foreign", HOSTILE)
def test_nothing_foreign_in_a_card_means_anything(foreign: str):
    plain = text_of(parents=(Parent(repo="x", commit=COMMIT),))
    means = (
        TaskMean(task="vqa", point="merged", round=1, split="test", metric=foreign, value=1, clients=2, samples=2),
    )
    hostile = manifest(
        repo=f"digits/{foreign}",
        model=foreign,
        model_license=foreign,
        task=foreign,
        client=foreign,
        contributors=(foreign,),
        parents=(Parent(repo=foreign, commit=COMMIT),),
    )
    text = card(CardFacts(COMMIT, hostile, None, means)).decode()
    assert head_of(text)["base_model"] == foreign
    assert head_of(text)["license_name" if head_of(text)["license"] == "other" else "license"] == foreign
    outside = re.sub(r"(?m)^```python$.*?^```$", "", body_of(text), flags=re.DOTALL)
    outside = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "SPAN", outside)
    for sign in ("<", "evil", "](", "- item", "import os"):
        assert sign not in outside
    headings = [line for line in body_of(text).splitlines() if line.startswith("#")]
    assert len(headings) == len([line for line in body_of(plain).splitlines() if line.startswith("#")])
    fences = [line for line in body_of(text).splitlines() if line.startswith("```")]
    assert fences == ["```python", "```", "```python", "```"]


def test_a_span_holds_any_text_on_one_line_of_a_table():
    assert code("a`b``c") == "```a`b``c```"
    assert code("`a`") == "`` `a` ``"
    assert code("a|b\nc\x00") == "`a\\|b c`"
    assert code("") == "` `"
