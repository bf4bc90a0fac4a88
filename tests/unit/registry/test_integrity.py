"""The check finds what is missing, cut, changed, not yet written down or never heard of; and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pilot_proto.canonical import digest_of
from sqlalchemy import delete
from unit.registry.test_journal import RefusingStore, busy_history
from unit.registry.test_process import environment
from unit.registry.world import World, safetensors, tensors


def check(world: World, deep: bool = False) -> dict:
    answer = world.call("admin", "GET", f"/admin/check?deep={deep}")
    assert answer.status_code == 200, answer.text
    report: dict = answer.json()
    return report


def codes(report: dict) -> list[str]:
    return [fault["code"] for fault in report["faults"]]


def blob(world: World, body: bytes) -> Path:
    digest = digest_of(body).removeprefix("sha256:")
    return world.app.state.registry.settings.state_dir / "store" / "blobs" / "sha256" / digest[:2] / digest


def test_a_busy_registry_is_in_order_and_its_garbage_is_counted_not_blamed(world: World):
    busy_history(world)
    report = check(world, deep=True)
    assert (report["ok"], report["faults"], report["deep"]) == (True, [], True)
    assert report["orphans"] > 0, "retired updates wait for the collection"
    assert world.call("admin", "POST", "/admin/gc?dry_run=false&older_than_s=0").json()["blobs"] >= 0
    assert check(world)["ok"]


def test_what_is_missing_or_cut_or_changed_is_named(world: World):
    world.answer("vqa-1", seed=1)
    world.answer("vqa-2", seed=2)
    first, second = (blob(world, safetensors(tensors(seed))) for seed in (1, 2))
    first.unlink()
    body = bytearray(second.read_bytes())
    body[-1] ^= 1
    second.write_bytes(body)
    shallow, deep = check(world), check(world, deep=True)
    assert codes(shallow) == ["missing"]
    assert shallow["faults"][0]["object"] == f"sha256:{first.name}"
    assert codes(deep) == ["missing", "wrong_content"]
    second.write_bytes(b"cut")
    assert codes(check(world)) == ["missing", "wrong_size"] or codes(check(world)) == ["wrong_size", "missing"]


def test_records_that_the_store_refused_are_told_and_so_is_an_index_that_is_behind(world: World):
    from pilot_registry.tables import AuditRow

    registry = world.app.state.registry
    real = registry.journal._store
    refusing = RefusingStore(real)
    registry.journal._store = refusing
    refusing.dies = True
    world.grant()
    assert codes(check(world)) == ["outbox"]
    refusing.dies = False
    world.seal()
    assert check(world)["ok"]
    with registry.database.writing() as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence == 1))
    assert codes(check(world)) == ["index_behind"]
    world.call("admin", "POST", "/admin/reindex")
    assert check(world)["ok"]
    first = sorted((registry.settings.state_dir / "store" / "index").rglob("*.json"))[0]
    first.unlink()
    assert codes(check(world)) == ["journal_incomplete"]


def test_only_an_admin_may_check(world: World):
    assert world.call("operator", "GET", "/admin/check").status_code == 403


@pytest.mark.parametrize("damaged", [False, True])
def test_the_command_says_it_with_its_exit_code(world: World, folder: Path, damaged: bool):
    world.answer("vqa-1", seed=1)
    world.app.state.registry.database.close()
    if damaged:
        blob(world, safetensors(tensors(1))).unlink()
    done = subprocess.run(
        [sys.executable, "-m", "pilot_registry", "check", "--deep"],
        env=environment(folder),
        capture_output=True,
        check=False,
    )
    assert done.returncode == int(damaged)
    assert json.loads(done.stdout)["ok"] is not damaged


@pytest.mark.parametrize(
    ("variables", "code", "says"),
    [
        ({"PILOT_REGISTRY_STORE": "s3"}, 78, b"PILOT_REGISTRY_S3_ENDPOINT"),
        (
            {
                "PILOT_REGISTRY_STORE": "s3",
                "PILOT_REGISTRY_S3_ENDPOINT": "http://127.0.0.1:1",
                "PILOT_REGISTRY_S3_BUCKET": "pilot",
                "PILOT_REGISTRY_S3_ACCESS_KEY_FILE": "/nowhere",
                "PILOT_REGISTRY_S3_SECRET_KEY": "s",
            },
            78,
            b"mount the bucket's keys there",
        ),
    ],
)
def test_a_registry_that_cannot_use_its_store_ends_with_the_reason(folder: Path, variables, code, says):
    done = subprocess.run(
        [sys.executable, "-m", "pilot_registry"], env=environment(folder, **variables), capture_output=True, check=False
    )
    assert done.returncode == code
    assert says in done.stderr
    assert b"Traceback" not in done.stderr
