"""The kept merge process: it answers, says what cannot be merged, and is replaced when it is killed."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.merge.request import InputFile, MergeRequest, OutputRow
from pilot_proto.boundaries import Boundary
from pilot_proto.canonical import digest_of
from safetensors.numpy import save_file


@pytest.fixture
def merges():
    process = MergeProcess()
    yield process
    process.close()


def request(folder, value=1.0):
    files = {}
    for name, number in (("a", value), ("b", 3.0)):
        save_file({"x": np.full(4, number, np.float32), "y": np.ones(2, np.float32)}, folder / name)
        files[name] = InputFile(path=str(folder / name), digest=digest_of((folder / name).read_bytes()))
    rows = {"out": OutputRow(file="out.safetensors", coefficients=(0.5, 0.5))}
    return MergeRequest(inputs=files, outputs=rows, directory=str(folder / "merged"))


def test_requests_are_carried_out_one_after_the_other(merges, tmp_path):
    folders = [tmp_path / "1", tmp_path / "2"]
    for folder in folders:
        folder.mkdir()
    merges.run([request(folder) for folder in folders])
    assert all((folder / "merged" / "done.json").exists() for folder in folders)


def test_inputs_that_cannot_be_merged_are_refused_and_the_process_goes_on(merges, tmp_path):
    with pytest.raises(MergeRefused, match="finite"):
        merges.run([request(tmp_path, value=np.nan)])
    merges.run([request(tmp_path)])


def test_a_killed_process_is_worth_another_try_and_is_replaced(merges, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOT_BOUNDARY_DIR", str(tmp_path))
    (tmp_path / Boundary.MERGE_HALF_WRITTEN).touch()
    stopped = tmp_path / f"{Boundary.MERGE_HALF_WRITTEN}.reached"

    def kill():
        while not (stopped.exists() and stopped.read_text()):
            time.sleep(0.01)
        os.kill(int(stopped.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(OSError, match="killed"):
        merges.run([request(tmp_path)])
    killer.join()
    merges.run([request(tmp_path)])
    assert (tmp_path / "merged" / "done.json").exists()


PARENT = """
import os, signal
from pilot_aggregator.merge.process import MergeProcess
if __name__ == "__main__":
    merges = MergeProcess()
    print(merges._ready().submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_dies_with_the_process_that_asked(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    told = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False).stdout
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{int(told)}") and not _is_zombie(int(told)):
        assert time.monotonic() < deadline, "the merge process outlives its parent"
        time.sleep(0.02)


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"
