"""The real process: it says where it listens, survives SIGKILL, and its commands work on its folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pilot_proto.canonical import canonical_bytes, digest_of
from unit.registry.world import API, UID, World, app_in, safetensors, settings_in, tensors

PATIENCE_S = 60


def environment(folder: Path, **more: str) -> dict[str, str]:
    settings = settings_in(folder)
    return {
        "PATH": os.environ["PATH"],
        "PILOT_REGISTRY_STATE_DIR": str(settings.state_dir),
        "PILOT_REGISTRY_KEYS": str(settings.keys),
        **more,
    }


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """A server process and its address."""
    told = folder / "state" / "registry.url"
    told.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pilot_registry", "serve"]
    variables = environment(folder, PILOT_REGISTRY_LOG_FORMAT="json")
    process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not told.exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process, told.read_text()
    finally:
        process.kill()
        process.communicate()


def command(folder: Path, *arguments: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "pilot_registry", *arguments], env=environment(folder), capture_output=True, check=True
    )
    report: dict = json.loads(done.stdout)
    return report


def test_a_killed_registry_comes_back_with_everything_that_it_acknowledged(folder: Path):
    grant = World(None).grant_for(schemas={}, max_bytes={"connector": 1 << 20})
    body = safetensors(tensors(1))
    query = {"digest": digest_of(body), "uid": UID, "round": 1, "kind": "connector", "client": "vqa-1"}

    def bearer(who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {who}"}

    with serving(folder) as (process, url):
        put = httpx.put(
            f"{url}{API}/grants/{UID}/1/vqa-1", content=canonical_bytes(grant), headers=bearer("aggregator")
        )
        assert put.status_code == 201
        sent = httpx.put(f"{url}{API}/files", params=query, content=body, headers=bearer("client:vqa-1"))
        assert sent.status_code == 201
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(folder) as (process, url):
        again = httpx.put(f"{url}{API}/files", params=query, content=body, headers=bearer("client:vqa-1"))
        assert again.status_code == 200, "the possession was kept"
        big = httpx.put(f"{url}{API}/files", params=query, content=bytes(64 << 20), headers=bearer("client:vqa-1"))
        assert big.json()["code"] == "too_large", "answered although the body was not read"
        process.terminate()
        assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM)
        lines = process.stderr.read().decode().splitlines()
        assert all("msg" in json.loads(line) for line in lines)


def test_garbage_is_collected_and_the_index_rebuilt_from_the_command_line(folder: Path):
    world = World(app_in(folder))
    before = world.call("viewer", "GET", "/adapters").json()
    world.app.state.registry.database.close()
    assert command(folder, "gc", "--dry-run", "--older-than-s", "0") | {"kept": 0} == {
        "dry_run": True,
        "blobs": 0,
        "bytes": 0,
        "kept": 0,
        "uploads": 0,
    }
    for file in (folder / "state").glob("registry.sqlite*"):
        file.unlink()
    assert command(folder, "reindex")["versions"] == 2
    rebuilt = World(app_in(folder))
    assert rebuilt.call("viewer", "GET", "/adapters").json() == before
    rebuilt.app.state.registry.database.close()


def test_a_second_server_on_the_same_folder_says_so_and_leaves(folder: Path):
    with serving(folder):
        second = subprocess.run(
            [sys.executable, "-m", "pilot_registry"], env=environment(folder), capture_output=True, check=False
        )
    assert second.returncode == 75
    assert b"another registry serves" in second.stderr


def test_garbage_can_be_collected_beside_a_running_server(folder: Path):
    with serving(folder) as (_, url):
        left = folder / "state" / "staging" / "upload-in-progress"
        left.write_bytes(b"half")
        assert command(folder, "gc", "--older-than-s", "0")["dry_run"] is False
        assert left.exists()
        assert httpx.get(f"{url}/readyz").status_code == 200
