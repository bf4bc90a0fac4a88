"""`pilot registry`: asks the registry that runs, or works on the state of one that does not."""

import json
import shutil

import pytest
from pilot_proto.registry import CheckFault, CheckReport, GcReport, ReindexReport
from unit.cli.conftest import Outcome

FAULT = CheckFault(code="missing", object="sha256:00", detail="the index names it, the store has it not")
FINE = CheckReport(ok=True, deep=False, blobs=3, bytes=2048, orphans=1, records=9)


def test_a_check_says_what_it_counted_and_a_fault_is_an_exit_code(pilot, deployed):
    deployed.registry.tells("/admin/check?deep=false", FINE)
    fine: Outcome = pilot("registry", "check")
    assert fine.code == 0
    assert "3 blobs" in fine.out
    assert "1 that nothing names" in fine.out
    deployed.registry.tells("/admin/check?deep=true", FINE.model_copy(update={"ok": False, "faults": (FAULT,)}))
    broken = pilot("registry", "check", "--deep", "-o", "json")
    assert broken.code == 1
    assert json.loads(broken.out)["faults"][0]["code"] == "missing"
    assert "backup" in broken.err


def test_a_collection_and_a_reindex_say_what_they_did(pilot, deployed):
    report = GcReport(dry_run=True, blobs=2, bytes=10, kept=5, uploads=1)
    deployed.registry.tells("/admin/gc?dry_run=true&older_than_s=60", report, method="POST")
    counted = pilot("registry", "gc", "--dry-run", "--older-than-s", 60)
    assert counted.code == 0
    assert "would delete 2 blobs" in counted.out
    assert "1 unfinished uploads" in counted.out
    deployed.registry.tells("/admin/reindex", ReindexReport(records=9, versions=2), method="POST")
    assert "2 versions from 9 records" in pilot("registry", "reindex").out


def test_a_registry_that_does_not_run_is_checked_on_its_state(pilot, elsewhere, tmp_path):
    state = elsewhere / ".pilot"
    (state / "keys").mkdir(parents=True)
    (state / "keys" / "keys.yaml").write_text("keys: []\n")
    (state / "keys" / "admin.key").write_text("admin")
    nowhere = {"aggregator": "http://127.0.0.1:1", "registry": "http://127.0.0.1:1", "keys": str(state / "keys")}
    (state / "endpoint.json").write_text(json.dumps(nowhere))
    done = pilot("registry", "check")
    assert (done.code, "0 blobs" in done.out) == (0, True)
    shutil.rmtree(state / "registry" / "store")
    (state / "registry" / "store").write_text("in the way")
    broken = pilot("registry", "check")
    assert broken.code == 1
    assert "registry's check ended" in broken.err


@pytest.mark.parametrize("command", ["check", "gc", "reindex"])
def test_a_registry_far_away_that_does_not_answer_is_not_looked_for_here(pilot, elsewhere, monkeypatch, command):
    for name in ("PILOT_URL", "PILOT_REGISTRY_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("PILOT_TOKEN", "admin")
    refused = pilot("registry", command)
    assert refused.code == 1
    assert "did not answer" in refused.err
    assert not (elsewhere / ".pilot").exists()
