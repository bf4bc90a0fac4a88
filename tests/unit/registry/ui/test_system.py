"""System: what it tells to whom, and what an admin may start: beside everything else, one thing at a time."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pilot_proto.canonical import digest_of
from pilot_proto.registry import CheckFault, CheckReport
from pilot_registry.admission.sessions import UploadRecord
from pilot_registry.housekeeping import KINDS, Chore, Housekeeping
from pilot_registry.settings import Settings
from pilot_registry.store.port import blob_key
from pilot_registry.ui.views.system_page import OpenApi, routes_of, settings_of, under_way
from unit.registry.ui.html import page
from unit.registry.world import UID, World, problem

POSTED = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
BUTTONS = {f"post /ui/system/{kind}" for kind in KINDS}


@pytest.fixture
def known(world: World, aggregator) -> World:
    aggregator.tell("version", {"service": "aggregator", "version": "9.9"})
    return world


@pytest.fixture
def held(known: World) -> list:
    """Work that was begun and waits to be done by the test."""
    work: list = []
    known.app.state.housekeeping = Housekeeping(known.app.state.registry, work.append)
    return work


def as_json(world: World, who: str, path: str = "ui/system"):
    answer = world.call(who, "GET", f"//{path}", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def begin(world: World, kind: str, who: str = "admin", **headers: str):
    return world.call(who, "POST", f"//ui/system/{kind}", headers={**POSTED, **headers})


def test_everybody_sees_versions_health_and_sizes(known: World):
    text = page(known, "viewer", "ui/system").text
    for words in ("9.9", "pilot/v1alpha1", "sqlite", "folder", "keys only", "versions of adapters"):
        assert words in text, words


def test_settings_and_uploads_are_for_operators_and_housekeeping_for_admins(known: World):
    told = {who: as_json(known, who) for who in ("viewer", "operator", "admin")}
    assert [told[who]["settings"] is not None for who in told] == [False, True, True]
    assert [told[who]["uploads"] is not None for who in told] == [False, True, True]
    assert [told[who]["chores"] is not None for who in told] == [False, False, True]
    assert [BUTTONS & set(page(known, who, "ui/system").actions) for who in told] == [set(), set(), BUTTONS]


def test_nothing_secret_is_told(tmp_path):
    keys = tmp_path / "keys.yaml"
    keys.write_text("keys: []")
    secret = {"s3_access_key": "AKIASECRET", "s3_secret_key": "hidden-secret"}
    settings = Settings(
        state_dir=tmp_path,
        keys=keys,
        store="s3",
        s3_endpoint="http://s3",
        s3_bucket="b",
        database="postgresql://u:password@host/n",
        **secret,
    )
    told = " ".join(setting.model_dump_json() for setting in settings_of(settings))
    assert "S3_PART_BYTES" in told
    for word in (*secret.values(), "password", str(tmp_path)):
        assert word not in told


def test_settings_of_a_bucket_are_told_only_where_there_is_one(known: World):
    names = {setting["name"] for setting in as_json(known, "operator")["settings"]}
    assert "PILOT_REGISTRY_GC_GRACE_S" in names
    assert not {name for name in names if "S3" in name}


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_admin_starts_runs_beside_and_its_result_is_shown(known: World, held, kind: str):
    answer = begin(known, kind)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/ui/system")
    working = as_json(known, "admin")
    assert (working["busy"], working["chores"][0]["kind"], working["chores"][0]["by"]) == (True, kind, "admin")
    made = page(known, "admin", "ui/system")
    assert "at work" in made.text
    assert not BUTTONS & set(made.actions), "nothing else can be started meanwhile"
    (work,) = held
    work()
    (chore,) = as_json(known, "admin")["chores"]
    assert chore["ended_at"]
    assert not chore["error"]
    assert [name for name in ("gc", "check", "reindex") if chore[name]] == [kind.partition("-")[0]]
    assert set(page(known, "admin", "ui/system").actions) >= BUTTONS


def test_only_one_thing_is_at_work(known: World, held):
    assert begin(known, "check").status_code == 303
    answer = begin(known, "gc", Accept="application/json")
    assert problem(answer) == (409, "housekeeping_busy")
    assert "check is at work since" in answer.json()["detail"]
    held.pop()()
    assert begin(known, "gc").status_code == 303


def test_a_dry_run_removes_nothing_and_a_collection_does(known: World, held):
    registry = known.app.state.registry
    digest = digest_of(b"garbage")
    registry.store.put_bytes(blob_key(digest), b"garbage")
    # The world's clock stands long before the file was written.
    registry = replace(registry, clock=lambda: datetime(2100, 1, 1, tzinfo=UTC))
    housekeeping = known.app.state.housekeeping = Housekeeping(registry, lambda work: work())
    assert housekeeping.begin("gc-dry-run", "admin")
    assert registry.store.exists(blob_key(digest))
    housekeeping.begin("gc", "admin")
    assert not registry.store.exists(blob_key(digest))
    text = page(known, "admin", "ui/system").text
    assert "Would remove 1 file, 7 B" in text
    assert "Removed 1 file, 7 B" in text


def test_a_check_tells_its_faults_and_how_many_files_nothing_names(known: World, held):
    store = known.app.state.registry.store
    lost = next(iter(store.list("blobs/")))
    store.delete_older(lost.key, 1e12)
    store.put_bytes(blob_key(digest_of(b"nobody's")), b"nobody's")
    begin(known, "check")
    held.pop()()
    text = page(known, "admin", "ui/system").text
    assert "1 fault" in text
    assert "missing" in text
    assert as_json(known, "viewer")["orphans"] == 1


def test_many_faults_are_cut(known: World, held):
    faults = tuple(CheckFault(code="missing", object=f"sha256:{i:064}", detail="gone") for i in range(500))
    report = CheckReport(ok=False, deep=False, blobs=0, bytes=0, orphans=0, records=0, faults=faults)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    known.app.state.housekeeping._done["check"] = Chore(
        kind="check", by="admin", began_at=at, ended_at=at, check=report
    )
    assert "and 480 more" in page(known, "admin", "ui/system").text


def test_what_fails_says_why_and_frees_the_place(known: World, held):
    class Broken:
        """A store that is away."""

        def list(self, prefix: str):
            raise OSError("the bucket is away")

    registry = known.app.state.registry
    broken = replace(registry, store=Broken())
    housekeeping = known.app.state.housekeeping = Housekeeping(broken, lambda work: work())
    housekeeping.begin("check", "admin")
    (chore,) = housekeeping.seen()
    assert (chore.error, chore.check) == ("the bucket is away", None)
    assert "It failed: the bucket is away" in page(known, "admin", "ui/system").text
    housekeeping.begin("check", "admin")


def test_work_is_done_in_a_thread_of_its_own(known: World):
    seen = []
    done = threading.Event()

    class Watched:
        """Notes who asks it."""

        def list(self, prefix: str):
            seen.append(threading.current_thread().name)
            done.set()
            return iter(())

    registry = known.app.state.registry
    Housekeeping(replace(registry, store=Watched())).begin("gc-dry-run", "admin")
    assert done.wait(30)
    assert seen == ["housekeeping"]


@pytest.mark.parametrize("who", ["viewer", "operator", "client:vqa-1"])
def test_only_an_admin_may_start_anything(known: World, held, who: str):
    assert begin(known, "gc", who).status_code == 403
    assert held == []


def test_what_is_no_chore_is_refused(known: World, held):
    assert begin(known, "format-disk").status_code == 422
    assert held == []


# -- uploads under way


def test_uploads_under_way_are_shown_with_how_much_is_here(known: World):
    known.grant()
    body = b"x" * 1000
    begun = known.call(
        "client:vqa-1",
        "POST",
        "/uploads",
        params={
            "digest": digest_of(body),
            "uid": UID,
            "round": 1,
            "kind": "connector",
            "client": "vqa-1",
            "size": 1000,
        },
    )
    assert begun.status_code in (200, 201), begun.text
    sent = known.call(
        "client:vqa-1", "PATCH", f"/uploads/{begun.json()['id']}", params={"offset": 0}, content=body[:400]
    )
    assert sent.status_code in (200, 202, 204), sent.text
    (upload,) = as_json(known, "operator")["uploads"]
    assert (upload["sender"], upload["run"], upload["received"], upload["size"]) == (
        "client:vqa-1",
        "digits",
        400,
        1000,
    )
    assert "400 B of 1.0 kB" in page(known, "operator", "ui/system").text


def test_an_upload_of_a_run_that_is_not_known_has_its_uid():
    record = UploadRecord(principal="aggregator", uid="u", round=0, kind="text", client=None, digest="d", size=5)
    assert under_way([(record, 2)], {})[0].run == "u"


# -- operations


def test_operations_of_both_services_are_listed_with_who_may(known: World, aggregator):
    document = {
        "paths": {"/api/v1alpha1/runs": {"post": {"description": "Start `it`.\n\nMore.", "x-roles": ["operator"]}}}
    }
    aggregator.tell("openapi.json", document)
    made = as_json(known, "viewer", "ui/system/api")
    assert made["aggregator"] == [
        {"method": "POST", "path": "/api/v1alpha1/runs", "summary": "Start it.", "roles": ["operator"]}
    ]
    assert {"method": "GET", "path": "/api/v1alpha1/audit"}.items() <= next(
        route for route in made["registry"] if route["path"].endswith("/audit")
    ).items()
    page(known, "viewer", "ui/system/api")


def test_operations_of_an_aggregator_that_is_away_are_not_known(known: World, aggregator):
    aggregator.away = True
    assert "cannot be shown" in page(known, "viewer", "ui/system/api").text
    assert "away" in page(known, "viewer", "ui/system").text


def test_a_document_without_roles_lists_none():
    (route,) = routes_of(OpenApi(paths={"/x": {"get": {}, "parameters": []}}))
    assert (route.method, route.summary, route.roles) == ("GET", "", ())
