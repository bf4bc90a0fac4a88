"""Adapters: fetch, compare, name, verify."""

import io
import json
import os

import httpx
import pytest
from pilot_proto.canonical import digest_of
from pilot_proto.plan import VerifyReport
from pilot_proto.problem import Problem
from pilot_proto.registry import (
    AliasPage,
    AliasView,
    CompareReport,
    Dependants,
    TensorComparison,
    VersionFileView,
    VersionPage,
    VersionRef,
    VersionView,
)

REPO, COMMIT, OTHER = "t/client-vqa-1-text", "a" * 40, "b" * 40
FILES = {"adapter_model.safetensors": b"tensors", "adapter_config.json": b"{}"}


def version(kind="text", commit=COMMIT, **values):
    files = {path: VersionFileView(digest=digest_of(raw), size=len(raw)) for path, raw in FILES.items()}
    default = {
        "repo": REPO,
        "run": "t",
        "round": 2,
        "program": "stage-2",
        "model": "tiny",
        "model_digest": digest_of(b"m"),
        "files": files,
        "private": False,
        "state": "live",
        "created_at": "2026-03-01T12:00:00Z",
    }
    return VersionView(kind=kind, commit=commit, **{**default, **values})


@pytest.fixture
def registry(deployed):
    deployed.registry.tells(f"/adapters/{REPO}/versions/main", version())
    for path, raw in FILES.items():
        deployed.registry.tells(f"//{REPO}/resolve/{COMMIT}/{path}", raw)
    return deployed.registry


def test_pull_fetches_every_file_of_the_version_that_main_is_now(registry, pilot, elsewhere):
    told = pilot("pull", REPO)
    assert told.code == 0
    folder = elsewhere / "client-vqa-1-text"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == FILES
    assert "not the personal model" in told.out


def test_pull_of_a_connector_needs_no_remark(registry, pilot, elsewhere):
    registry.tells(f"/adapters/{REPO}/versions/round-2", version("connector"))
    told = pilot("pull", f"{REPO}@round-2", "--out", "there")
    assert (elsewhere / "there" / "adapter_config.json").exists()
    assert "personal" not in told.out


def test_a_file_that_arrives_with_other_bytes_is_removed(registry, pilot, elsewhere):
    registry.tells(f"//{REPO}/resolve/{COMMIT}/adapter_config.json", b"{ }")
    told = pilot("pull", REPO)
    assert told.code == 1
    assert f"not {digest_of(b'{}')}" in told.err
    assert not (elsewhere / "client-vqa-1-text" / "adapter_config.json").exists()


@pytest.mark.parametrize("reference", ["", "t", "t/", "/x", "t/x/y"])
def test_what_is_not_a_reference(pilot, reference):
    assert pilot("pull", reference).code == 2


@pytest.fixture
def compared(registry):
    one = TensorComparison(
        file="f", name="q_proj.A", shape=(2, 2), norm_a=1, norm_b=1, l2=0.5, cosine=0.25, relative=0.5
    )
    two = TensorComparison(file="f", name="q_proj.B", shape=(2, 2), norm_a=0, norm_b=1, l2=0.1)
    refs = [VersionRef(repo=REPO, commit=COMMIT), VersionRef(repo=REPO, commit=OTHER)]
    report = CompareReport(a=refs[0], b=refs[1], tensors=(one, two), l2=0.51)
    query = str(httpx.QueryParams(a=f"{REPO}@main", b=f"{REPO}@best"))
    registry.tells(f"/compare?{query}", report)
    return report


def test_diff_lists_the_tensors_and_the_whole(compared, pilot):
    told = pilot("diff", REPO, f"{REPO}@best")
    assert told.code == 0
    rows = [line.split() for line in told.out.splitlines()]
    assert rows == [
        ["TENSOR", "DISTANCE", "COSINE", "RELATIVE"],
        ["q_proj.A", "0.5", "0.25", "0.5"],
        ["q_proj.B", "0.1", "-", "-"],
        ["in", "all:", "0.51"],
    ]


def test_diff_as_json_is_the_registrys_report(compared, pilot):
    told = pilot("diff", REPO, f"{REPO}@best", "-o", "json").out
    assert CompareReport.model_validate_json(told) == compared


def test_get_adapters_lists_versions_over_all_pages(registry, pilot):
    registry.tells("/adapters?run=t&limit=200", VersionPage(items=(version(),), next="c1"))
    older = version(commit=OTHER, aliases=("best", "prod"), state="deleted")
    registry.tells("/adapters?run=t&limit=200&cursor=c1", VersionPage(items=(older,)))
    assert pilot("get", "adapters", "t", "-o", "name").out.split() == [f"{REPO}@{COMMIT}", f"{REPO}@{OTHER}"]
    head, *rows = (line.split() for line in pilot("get", "adapters", "t", "-o", "wide").out.splitlines())
    assert head == ["REPOSITORY", "ROUND", "KIND", "COMMIT", "SIZE", "STATE", "ALIASES"]
    assert rows[0] == [REPO, "2", "text", "a" * 12, "9", "B", "live", "-"]
    assert rows[1][-2:] == ["deleted", "best,prod"]


def test_describe_adapter_is_the_registrys_view(registry, pilot):
    told = pilot("describe", "adapter", REPO, "-o", "json").out
    assert VersionView.model_validate_json(told) == version()


@pytest.mark.parametrize(
    ("before", "header", "value"), [(None, "if-none-match", "*"), (OTHER, "if-match", f'"{OTHER}"')]
)
def test_an_alias_moves_from_where_it_stands_or_begins(registry, pilot, before, header, value):
    moved = AliasView(repo=REPO, alias="best", commit=COMMIT, moved_at="2026-03-01T12:00:00Z", moved_by="operator")
    known = (moved.model_copy(update={"commit": before}),) if before else ()
    registry.tells(f"/adapters/{REPO}/aliases", AliasPage(items=known))
    registry.tells(f"/adapters/{REPO}/aliases/best", moved, method="PUT")
    told = pilot("alias", "set", REPO, "best")
    assert (told.code, told.out) == (0, f"{REPO}@best is {COMMIT[:12]}\n")
    _, _, headers, body = registry.requests[-1]
    assert headers[header] == value
    assert json.loads(body) == {"commit": COMMIT}


def test_an_alias_that_somebody_moved_meanwhile_is_a_conflict(registry, pilot):
    registry.tells(f"/adapters/{REPO}/aliases", AliasPage(items=()))
    refused = Problem(
        type="x", title="It has changed", status=412, code="precondition_failed", detail="it points elsewhere"
    )
    registry.tells(f"/adapters/{REPO}/aliases/best", refused, 412, "PUT")
    told = pilot("alias", "set", REPO, "best")
    assert (told.code, "it points elsewhere [precondition_failed]" in told.err) == (5, True)


# -- delete


@pytest.fixture
def doomed(registry):
    """A version that two others were made of."""
    children = tuple(VersionRef(repo=f"t/{name}", commit=OTHER) for name in ("x", "y"))
    ref = VersionRef(repo=REPO, commit=COMMIT)

    def told(**values):
        known = {"aliases": ("main",), "children": children, "children_count": 7, "released": (), "hindrances": ()}
        registry.tells(f"/adapters/{REPO}/versions/main/dependants", Dependants(version=ref, **{**known, **values}))

    told()
    registry.tells(f"/adapters/{REPO}/versions/{COMMIT}", version(state="deleted"), method="DELETE")
    return told


def deletions(registry):
    return [path for method, path, _, _ in registry.requests if method == "DELETE"]


def test_delete_shows_what_stands_on_it_and_names_the_commit(registry, doomed, pilot):
    told = pilot("adapters", "delete", REPO, "--yes")
    assert told.code == 0
    for words in ("alias main", f"t/x@{'b' * 12} was made of it", "and 5 more versions", "is deleted"):
        assert words in told.out
    assert deletions(registry) == [f"/api/v1alpha1/adapters/{REPO}/versions/{COMMIT}"]


@pytest.mark.parametrize(("typed", "code", "count"), [(REPO, 0, 1), ("t/other", 2, 0)])
def test_delete_asks_for_the_name(registry, doomed, pilot, monkeypatch, typed, code, count):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
    assert pilot("adapters", "delete", REPO).code == code
    assert len(deletions(registry)) == count


def test_what_is_needed_is_not_even_asked_for(registry, doomed, pilot):
    doomed(hindrances=("the alias best points to it", "run t has not ended and hands it out"))
    told = pilot("adapters", "delete", REPO, "--yes")
    assert (told.code, deletions(registry)) == (5, [])
    assert "run t has not ended and hands it out" in told.err


# -- verify


def report(verdict, message="", **outputs):
    found = {f"t/{name}": same for name, same in outputs.items()}
    return VerifyReport(run="t", round=1, verdict=verdict, outputs=found, max_distance_error=0.0, message=message)


@pytest.fixture
def verified(deployed, pilot, monkeypatch):
    """`pilot verify` when the aggregator's verdict is this one."""

    def run(verdict, *arguments, **values):
        deployed.registry.tells("/runs/t/rounds/1/verify", report(verdict, **values), method="POST")
        # The answers' server stands in for the aggregator, whose verdict needs a merge process.
        monkeypatch.setenv("PILOT_URL", os.environ["PILOT_REGISTRY_URL"])
        return pilot("verify", "t", "1", *arguments)

    return run


@pytest.mark.parametrize(
    ("verdict", "values", "code", "said"),
    [
        ("identical", {"x": True, "y": True}, 0, "round 1: identical"),
        ("different", {"x": True, "y": False}, 1, "is not what its plan says"),
        ("inputs_deleted", {"message": "retention removed them"}, 7, "raw_updates: forever"),
        ("nothing_merged", {"message": "round 1 merges nothing (evaluate)"}, 0, "merges nothing"),
    ],
)
def test_every_verdict_has_its_exit_code(verified, verdict, values, code, said):
    told = verified(verdict, **values)
    assert told.code == code
    assert said in told.out + told.err


def test_a_different_output_stands_out(verified):
    lines = {line.split()[0]: line.split()[-1] for line in verified("different", x=True, y=False).out.splitlines()}
    assert lines["t/x"] == "identical"
    assert lines["t/y"] == "DIFFERENT"


@pytest.mark.parametrize(("verdict", "code"), [("identical", 0), ("different", 1), ("inputs_deleted", 7)])
def test_as_json_the_verdict_is_the_only_thing_printed(verified, verdict, code):
    told = verified(verdict, "-o", "json", x=verdict == "identical")
    assert told.code == code
    assert json.loads(told.out)["verdict"] == verdict
