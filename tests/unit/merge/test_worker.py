import hashlib
import json
import os
import subprocess
import sys
import time

import pytest
from pilot_aggregator.merge.engine import digests
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.measure import change_norms, measure
from pilot_aggregator.merge.mixture import Mixture
from pilot_aggregator.merge.request import DistanceRequest, InputFile, MergeRequest, MergeResult, OutputRow
from pilot_aggregator.merge.worker import REFUSED, TEMPORARY, USAGE, main, run, run_distances
from pilot_proto.boundaries import Boundary


@pytest.fixture
def inputs(save, lora):
    return {name: described(save(name, lora(seed))) for seed, name in enumerate("ab")}


@pytest.fixture
def request_(inputs, tmp_path):
    outputs = {"r/x": OutputRow(file="x/m.safetensors", coefficients=(0.5, 0.5))}
    return MergeRequest(inputs=inputs, outputs=outputs, directory=str(tmp_path / "out"))


def described(path):
    return InputFile(path=str(path), digest="sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_process_merges_and_says_so_last(request_, tmp_path):
    file = tmp_path / "request.json"
    file.write_text(request_.model_dump_json())
    subprocess.run([sys.executable, "-m", "pilot_aggregator.merge.worker", str(file)], check=True, timeout=60)
    done = MergeResult.model_validate_json((tmp_path / "out/done.json").read_bytes())
    found = (tmp_path / "out/x/m.safetensors").read_bytes()
    assert done.outputs["r/x"].digest == "sha256:" + hashlib.sha256(found).hexdigest()
    assert done.outputs["r/x"].size == len(found)
    assert done == run(request_)


def test_a_second_run_returns_the_stored_result_without_reading_the_inputs(request_, inputs, tmp_path):
    done = run(request_)
    (tmp_path / "a.safetensors").unlink()
    assert run(request_) == done


def test_a_damaged_output_is_made_again(request_, tmp_path):
    done = run(request_)
    output = tmp_path / "out/x/m.safetensors"
    whole = output.read_bytes()
    output.write_bytes(b"half")
    assert run(request_) == done
    assert output.read_bytes() == whole


def test_the_result_of_another_request_is_not_taken_for_this_one(request_, inputs):
    run(request_)
    other = request_.model_copy(update={"outputs": {"r/x": OutputRow(file="x/m.safetensors", coefficients=(1.0, 0.0))}})
    assert run(other).outputs["r/x"].digest == inputs["a"].digest


def test_what_a_killed_run_left_does_not_count(request_, tmp_path):
    left = tmp_path / "out/x/.m.safetensors.1.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    (tmp_path / "out/done.json").write_text("{")
    mixture = Mixture(("a", "b"), ("r/x",), ((0.5, 0.5),), row_sums_to_one=True)
    expected = digests({name: tmp_path / f"{name}.safetensors" for name in "ab"}, mixture)
    assert run(request_).outputs["r/x"].digest == expected["r/x"].digest


def test_a_process_killed_half_way_leaves_no_output_and_the_next_one_finishes(request_, tmp_path):
    file, armed = tmp_path / "request.json", tmp_path / "boundaries" / Boundary.MERGE_HALF_WRITTEN
    file.write_text(request_.model_dump_json())
    armed.parent.mkdir()
    armed.touch()
    command = [sys.executable, "-m", "pilot_aggregator.merge.worker", str(file)]
    with subprocess.Popen(command, env={**os.environ, "PILOT_BOUNDARY_DIR": str(armed.parent)}) as process:
        while not armed.with_name(armed.name + ".reached").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all(path.suffix == ".part" for path in left)
    mixture = Mixture(("a", "b"), ("r/x",), ((0.5, 0.5),), row_sums_to_one=True)
    undisturbed = digests({name: tmp_path / f"{name}.safetensors" for name in "ab"}, mixture)
    assert run(request_).outputs["r/x"].digest == undisturbed["r/x"].digest


def test_an_input_that_is_not_what_was_promised_is_refused(request_, save, lora, tmp_path):
    save("b", lora(5))
    with pytest.raises(MergeRefused, match=r"input 'b' is sha256:.* but sha256:.* was promised"):
        run(request_)
    assert not (tmp_path / "out").exists()


def test_a_missing_input_is_refused(request_, tmp_path):
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(MergeRefused, match="input 'a' is missing"):
        run(request_)


@pytest.mark.parametrize("file", ["../out2", "/etc/passwd", "done.json"])
def test_an_output_outside_its_directory_is_refused(request_, file):
    outputs = {"r/x": OutputRow(file=file, coefficients=(0.5, 0.5))}
    with pytest.raises(MergeRefused, match="is outside the output directory"):
        run(request_.model_copy(update={"outputs": outputs}))


def test_coefficients_that_do_not_fit_the_inputs_are_refused(request_):
    outputs = {"r/x": OutputRow(file="x", coefficients=(1.0,))}
    with pytest.raises(MergeRefused, match="needs 2 coefficients"):
        run(request_.model_copy(update={"outputs": outputs}))


def test_distances_are_measured_once_and_kept(inputs, save, lora, tmp_path):
    given = described(save("given", lora(9)))
    request = DistanceRequest(inputs=inputs, given=dict.fromkeys("ab", given), directory=str(tmp_path / "d"))
    done = run_distances(request)
    paths = {name: tmp_path / f"{name}.safetensors" for name in "ab"}
    measured = measure(paths, "euclidean")
    assert (done.names, done.matrix) == (measured.names, measured.matrix)
    assert done.change_norms == change_norms(paths, dict.fromkeys("ab", tmp_path / "given.safetensors"))
    (tmp_path / "a.safetensors").unlink()
    assert run_distances(request) == done


def test_means_are_told_without_the_pairs_that_they_are_of(inputs, tmp_path):
    directory, tasks = str(tmp_path / "d"), {"a": "vqa", "b": "vqa"}
    whole = run_distances(DistanceRequest(inputs=inputs, tasks=tasks, directory=directory))
    apart = whole.matrix[0][1]
    assert whole.to_peers == {"a": apart, "b": apart}
    lean = run_distances(DistanceRequest(inputs=inputs, tasks=tasks, pairs=False, directory=directory))
    assert (lean.matrix, lean.to_peers) == ((), whole.to_peers)


def answer(content, tmp_path):
    file = tmp_path / "request.json"
    file.write_text(content)
    return main([str(file)])


def test_exit_codes_say_whether_trying_again_helps(request_, tmp_path, capsys):
    assert answer(request_.model_dump_json(), tmp_path) == 0
    assert answer('{"action": "merge"}', tmp_path) == USAGE
    (tmp_path / "blocked").write_text("a file where a folder should be")
    assert (
        answer(request_.model_copy(update={"directory": str(tmp_path / "blocked")}).model_dump_json(), tmp_path)
        == TEMPORARY
    )
    wrong = json.loads(request_.model_dump_json())
    wrong["inputs"]["a"]["digest"] = "sha256:" + "0" * 64
    assert answer(json.dumps(wrong), tmp_path) == REFUSED
    assert "was promised" in capsys.readouterr().err.splitlines()[-1]


def test_a_distance_request_is_told_from_a_merge_by_its_action(inputs, tmp_path):
    request = DistanceRequest(inputs=inputs, directory=str(tmp_path / "d"))
    assert answer(request.model_dump_json(), tmp_path) == 0
    assert (tmp_path / "d/distances.json").is_file()
