"""An adapter's page: every tab, for whom, and what is withheld."""

import pytest
from pilot_proto.canonical import canonical_bytes, commit_of
from pilot_proto.report import ClientReport, RunReport, TaskReport
from unit.registry.merged import merged
from unit.registry.published import mean, next_round, one_text_adapter
from unit.registry.ui.html import page, read
from unit.registry.world import World, safetensors, tensors

TEXT = "digits/client-vqa-1-text"
TABS = ("use", "tensors", "lineage", "metrics", "files", "history", "card")


def tab(world: World, who: str, name: str, repo: str = TEXT, status: int = 200, more: str = "") -> str:
    return page(world, who, f"ui/adapters/{repo}?tab={name}{more}", status).text


def document(world: World, who: str, name: str, repo: str = TEXT, more: str = "") -> dict:
    answer = world.call(who, "GET", f"//ui/adapters/{repo}?tab={name}&format=json{more}")
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


def test_the_head_tells_what_it_is_and_where_it_comes_from(world: World, aggregator):
    commit = one_text_adapter(world)
    text = tab(world, "viewer", "use")
    for words in (commit, "text, for vqa-1", "the merge of round 1", "digits-tiny", "vqa-1, vqa-2", "main", "round-1"):
        assert words in text, words
    assert document(world, "viewer", "use")["digest"].startswith("sha256:")


@pytest.mark.parametrize("name", TABS)
def test_every_tab_is_a_link_a_page_and_a_document(world: World, aggregator, name: str):
    commit = one_text_adapter(world)
    made = page(world, "viewer", f"ui/adapters/{TEXT}?tab={name}")
    assert f"/ui/adapters/{TEXT}?rev={commit}&tab={name}" in made.links
    assert document(world, "viewer", name)["tab"] == name
    assert document(world, "viewer", name, more=f"&rev={commit}")["version"]["commit"] == commit


def test_a_text_adapter_says_first_that_it_is_not_the_personal_model(world: World, aggregator):
    one_text_adapter(world)
    text = tab(world, "viewer", "use")
    assert text.index("is not the personal model") < text.index("pilot export") < text.index("snapshot_download")
    connector = tab(world, "viewer", "use", "digits/base-connector")
    assert "is not a model" in connector
    assert "peft" not in connector.lower()


def test_every_snippet_is_pinned_to_the_commit_and_says_whether_it_was_run(world: World, aggregator):
    commit = one_text_adapter(world)
    found = {snippet["name"]: snippet for snippet in document(world, "viewer", "use", more="&rev=main")["snippets"]}
    for name in ("download", "peft", "peft-by-name", "hf", "pull", "curl"):
        assert commit in found[name]["text"], name
    assert "--round 1" in found["export"]["text"]
    assert "http://registry" in found["place"]["text"]
    assert [name for name, snippet in found.items() if not snippet["run_by"]] == ["vllm"]
    text = tab(world, "viewer", "use")
    assert text.count("run by a test") == len(found) - 1
    assert text.count("not run") == 1


def test_where_all_begin_nobody_has_a_personal_model(world: World, aggregator):
    names = [s["name"] for s in document(world, "viewer", "use", "digits/base-connector")["snippets"]]
    assert "export" not in names
    assert "round 0, where all begin" in tab(world, "viewer", "use", "digits/base-connector")


def test_tensors_are_listed_with_their_figures_filtered_and_paged(world: World, aggregator):
    one_text_adapter(world)
    found = document(world, "viewer", "tensors")["tensors"]
    api = world.call("viewer", "GET", f"/adapters/{TEXT}/versions/main/tensors").json()
    assert found == api
    text = tab(world, "viewer", "tensors")
    assert "a.weight" in text
    assert "4 \N{MULTIPLICATION SIGN} 3" in text
    assert "a.weight" not in tab(world, "viewer", "tensors", more="&name=bias")
    made = page(world, "viewer", f"ui/adapters/{TEXT}?tab=tensors&limit=1")
    (following,) = [link for link in made.links if "cursor=" in link and "format" not in link]
    assert "b.bias" in page(world, "viewer", following[1:]).text


def test_lineage_draws_parents_and_children_and_lists_them(world: World, aggregator):
    made = merged(world)
    repo = "digits/client-vqa-1-connector"
    text = tab(world, "admin", "lineage", repo, more="&rev=round-1")
    assert "0.75" in text
    found = document(world, "admin", "lineage", repo, more="&rev=round-1")
    assert [line["coefficient"] for line in found["parents"]] == [0.75, 0.25]
    assert [line["commit"] for line in found["children"]] == [made.commit("client-vqa-1-update", 2)]
    drawn = found["drawing"]
    assert len(drawn["spots"]) == 4
    assert {tuple(line["ends"]) for line in drawn["lines"]} == {(1, 0), (2, 0), (0, 3)}


def test_a_viewer_sees_hidden_parents_by_name_and_no_hidden_child(world: World, aggregator):
    merged(world)
    made = page(world, "viewer", "ui/adapters/digits/client-vqa-1-connector?tab=lineage&rev=round-1")
    assert "client-vqa-1-update" in made.text
    assert not any("update" in link for link in made.links)
    assert "None that you may see" in made.text


def report(rounds: int = 2) -> RunReport:
    clients = [
        ClientReport(client=c, task=t, metric="exact-match", before=0.1, merged=(0.25, 0.3), local=(0.5, None))
        for c, t in (("vqa-1", "vqa"), ("vqa-2", "vqa"))
    ]
    tasks = (TaskReport(task="vqa", metric="exact-match", before=0.1, merged=None, local=None),)
    return RunReport(
        run="digits", method="pilot", rounds=rounds, clients=tuple(clients), tasks=tasks, published={}, digests={}
    )


def test_metrics_keep_both_points_of_its_round_apart(world: World, aggregator):
    one_text_adapter(world)
    aggregator.tell("runs/digits/report", report())
    table = document(world, "viewer", "metrics")["table"]
    assert table["columns"] == ["client", "metric", "before", "merged 1", "local 1"]
    assert [[cell["text"] for cell in row["cells"]] for row in table["rows"]] == [
        ["vqa-1", "exact-match", "10.0 %", "25.0 %", "50.0 %"]
    ]


def test_without_the_aggregator_the_ledgers_tell_what_all_may_know(world: World, aggregator):
    one_text_adapter(world)
    next_round(world, mean("merged", 1, 0.625))
    aggregator.away = True
    text = tab(world, "viewer", "metrics")
    assert "This is what the ledgers here tell" in text
    assert "62.5 %" in text
    assert "vqa-1" not in str(document(world, "viewer", "metrics")["table"])


def test_files_have_their_digests_and_the_card_is_among_them(world: World, aggregator):
    commit = one_text_adapter(world)
    found = {file["path"]: file for file in document(world, "viewer", "files")["files"]}
    assert set(found) == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    for path, file in found.items():
        answer = world.call("viewer", "GET", f"/{file['url']}")
        assert f'"{file["digest"].removeprefix("sha256:")}"' == answer.headers["etag"]
        assert (len(answer.content), file["url"]) == (file["size"], f"/{TEXT}/resolve/{commit}/{path}")


def test_history_lists_versions_and_where_people_pointed_aliases(world: World, aggregator):
    made = merged(world)
    repo = "digits/client-vqa-1-connector"
    first, second = (made.commit("client-vqa-1-connector", number) for number in (1, 2))
    path = f"/adapters/{repo}/aliases/best"
    world.call("operator", "PUT", path, json={"commit": first}, headers={"if-none-match": "*"})
    found = document(world, "viewer", "history", repo)
    assert [line["commit"] for line in found["versions"]] == [second, first]
    assert [(move["alias"], move["commit"], move["moved_by"]) for move in found["moves"]] == [
        ("best", first, "operator")
    ]
    links = page(world, "viewer", f"ui/adapters/{repo}?tab=history").links
    assert any(link.startswith("/ui/compare?a=") and first in link and second in link for link in links)


def test_the_card_is_drawn_without_its_head(world: World, aggregator):
    one_text_adapter(world)
    html = world.call("viewer", "GET", f"//ui/adapters/{TEXT}?tab=card").text
    made = read(html)
    assert "base_model_relation" not in made.text
    assert "<table>" in html
    assert "How to load it" in made.text
    assert html.count("<h1") == 1


def test_the_audit_is_for_admins(world: World, aggregator):
    merged(world, rounds=1)
    repo = "digits/client-vqa-1-connector"
    assert "published" in tab(world, "admin", "audit", repo)
    assert "Audit" not in [t["text"] for t in document(world, "operator", "use", repo)["tabs"]]
    assert "may not see the tab audit" in tab(world, "operator", "audit", repo, status=403)
    assert "may not see the tab delete" in tab(world, "operator", "delete", repo, status=403)


@pytest.mark.parametrize("name", TABS)
def test_an_admin_sees_the_record_of_what_is_private_and_none_of_its_bytes(world: World, aggregator, name: str):
    merged(world, solo=True)
    repo = "digits/client-vqa-2-connector"
    text = tab(world, "admin", name, repo)
    assert "is private to vqa-2" in text
    told = document(world, "admin", name, repo)
    assert not told.get("snippets")
    assert not told.get("tensors")
    assert not told.get("card")
    assert page(world, "viewer", f"ui/adapters/{repo}?tab={name}", status=404)


@pytest.mark.parametrize("name", [*TABS, "audit"])
def test_a_deleted_version_keeps_its_page(world: World, aggregator, name: str):
    commit = world.answer()
    world.seal()
    world.call("aggregator", "POST", f"/rounds/{world.uid}/1/retire")
    text = tab(world, "admin", name, "digits/client-vqa-1-update", more=f"&rev={commit}")
    assert "deleted" in text
    assert commit in text


def test_what_is_not_there_leads_to_near_names(world: World, aggregator):
    made = page(world, "viewer", "ui/adapters/digits/base-conector", status=404)
    assert "/ui/adapters/digits/base-connector" in made.links
    assert "names here: main, round-0" in page(world, "viewer", "ui/adapters/digits/base-connector?rev=x", 404).text
    assert "tabs: use, tensors" in page(world, "viewer", "ui/adapters/digits/base-connector?tab=x", 404).text


HOSTILE = "<script>alert(1)</script>", "../../x", "\N{RIGHT-TO-LEFT OVERRIDE}evil", "n" * 100_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tensor_names_stay_words_and_do_not_fill_a_page(world: World, aggregator, name: str):
    world.answer("vqa-1", seed=1)
    world.answer("vqa-2", seed=2)
    world.seal()
    body = safetensors({name: tensors(1)["b.bias"], "fine": tensors(1)["b.bias"]})
    output = world.output("task-vqa-connector")
    assert world.put(body, client=None).status_code == 201
    files = {"model.safetensors": output.files["model.safetensors"].model_copy(update=ref(body))}
    output = output.model_copy(update={"files": files})
    assert world.publish(world.publication(output)).status_code == 201
    commit = commit_of(canonical_bytes(output))
    place = f"//ui/adapters/digits/task-vqa-connector?tab=tensors&rev={commit}"
    answer = world.call("viewer", "GET", place)
    read(answer.text)
    assert "<script>alert" not in answer.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in answer.text
    assert len(answer.text) < 30_000


def ref(body: bytes) -> dict:
    from unit.registry.world import file_ref

    return file_ref(body).model_dump()
