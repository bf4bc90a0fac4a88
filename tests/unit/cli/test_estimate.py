"""`pilot estimate` and the short form in a dry run."""

import json
import shutil

import pytest
import yaml
from pilot_cli.errors import CommandError
from pilot_cli.estimate.command import read_bytes, read_seconds
from pilot_cli.estimate.dry_run import dry_run_lines
from pilot_digits.federation import write_federation
from pilot_digits.models import DIGITS_TINY
from pilot_digits.samples import Sizes
from pilot_proto.base import as_json
from pilot_proto.presets import expand


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("digits")
    write_federation("digits", folder, sizes=Sizes(train=12, val=2, test=4))
    return folder


def document(pilot, *arguments):
    told = pilot("estimate", *arguments, "-o", "json")
    assert told.code == 0, told.err
    return json.loads(told.out)


def test_each_client_and_stage_is_counted(pilot, digits):
    found = document(pilot, "-f", digits / "run.yaml", "--step-seconds", "stage-1=2,stage-2=3", "--gpu-memory", "80GB")
    assert (found["tasks"], len(found["clients"]), found["image_tokens"]) == (3, 9, 16)
    client = next(c for c in found["clients"] if c["name"] == "vqa-1")
    records = json.loads((digits / "data" / "vqa-1" / "train.json").read_text())
    assert client["samples"] == len(records)
    assert client["steps_per_round"] == 6 * -(-len(records) // 8)
    one, two = client["stages"]
    assert (one["program"], one["sent"], one["trained"]) == ("stage-1", 61_248, 42_624 + 2 * 18_624)
    assert (two["trained"], two["frozen_connector"]) == (42_624 + 3 * 18_624 + 3 * 97, 3 * 18_624)
    assert two["down_bytes"] > one["down_bytes"] == one["up_bytes"]
    assert (one["seconds"], two["seconds"]) == (2 * client["steps_per_round"], 3 * client["steps_per_round"])
    assert (one["micro_batch_size"], two["micro_batch_size"]) == (8, 8)
    images = {record["image"] for record in records}
    assert client["feature_cache_bytes"] == (len(images) + 4) * 16 * 96 * 4


def test_the_tables_name_every_client_and_say_what_is_exact(pilot, digits):
    told = pilot("estimate", "-f", digits / "run.yaml")
    assert told.code == 0
    assert all(client in told.out for client in ("vqa-1", "caption-2", "grounding-3"))
    for said in ("61,248", "79,872", "bucket: at most", "aggregator's disk", "Exact:", "Estimated:"):
        assert said in told.out
    assert "MICRO-BATCH" not in told.out
    assert "TIME" not in told.out


def test_a_gpu_that_is_too_small_is_said(pilot, digits):
    told = pilot("estimate", "-f", digits / "run.yaml", "--gpu-memory", "100MB")
    assert "does not fit" in told.out


def test_data_on_another_machine_leave_dashes(pilot, digits, tmp_path):
    federation = yaml.safe_load((digits / "federation.yaml").read_text())
    for client in federation["spec"]["clients"]:
        client["data"] = f"/nowhere/{client['name']}"
    file = tmp_path / "federation.yaml"
    file.write_text(yaml.safe_dump(federation))
    found = document(pilot, "-f", digits / "run.yaml", "--federation", file, "--model", DIGITS_TINY)
    assert {(c["samples"], c["steps_per_round"], c["feature_cache_bytes"]) for c in found["clients"]} == {
        (None, None, None)
    }
    assert all(c["stages"][0]["sent"] == 61_248 for c in found["clients"])


def test_only_the_runs_clients_are_counted_and_unknown_ones_refused(pilot, digits, tmp_path):
    run = yaml.safe_load((digits / "run.yaml").read_text())
    for clients, code in ((["vqa-1", "caption-1"], 0), (["vqa-1", "nobody"], 2)):
        run["spec"]["clients"] = clients
        (tmp_path / "run.yaml").write_text(yaml.safe_dump(run))
        told = pilot(
            *("estimate", "-f", tmp_path / "run.yaml", "--federation", digits / "federation.yaml", "-o", "json")
        )
        assert told.code == code
    assert "the federation has no client nobody" in told.err


def test_what_is_missing_is_named_with_the_way_out(pilot, digits, tmp_path):
    shutil.copy(digits / "run.yaml", tmp_path / "run.yaml")
    told = pilot("estimate", "-f", tmp_path / "run.yaml")
    assert told.code == 2
    assert "next: say who takes part: --federation" in told.err
    told = pilot("estimate", "-f", digits / "run.yaml", "--model", tmp_path)
    assert told.code == 2
    assert f"next: pilot doctor --model {tmp_path}" in told.err


def test_a_target_that_matches_nothing_is_refused(pilot, digits, tmp_path):
    text = (digits / "run.yaml").read_text().replace("r: 8,", r"r: 8, target_modules: '.*layers\.\d+\.attn\.q',")
    (tmp_path / "run.yaml").write_text(text)
    told = pilot("estimate", "-f", tmp_path / "run.yaml", "--federation", digits / "federation.yaml")
    assert told.code == 2
    assert "matches none of the 21" in told.err


@pytest.mark.parametrize(
    ("text", "count"), [("80GB", 80 * 10**9), ("24GiB", 24 << 30), ("1.5 TB", 15 * 10**11), ("7", 7)]
)
def test_memory_is_read_with_its_unit(text, count):
    assert read_bytes(text) == count


@pytest.mark.parametrize("text", ["", "80 parsecs", "-1GB", "GB"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(CommandError, match="no amount of memory"):
        read_bytes(text)


def test_measured_steps_are_read_by_program():
    assert read_seconds("stage-1=2.1, stage-2=3") == {"stage-1": 2.1, "stage-2": 3.0}
    for text in ("stage-1", "stage-3=1", "stage-1=fast", ""):
        with pytest.raises(CommandError, match="no measured step"):
            read_seconds(text)


def answers(digits):
    federation = yaml.safe_load((digits / "federation.yaml").read_text())
    for model in federation["spec"]["models"]:
        model["path"] = str(digits / model["path"])
    run = yaml.safe_load((digits / "run.yaml").read_text())
    return {"run": as_json(expand(run)), "clients": ["vqa-1", "caption-1"]}, federation


def test_a_dry_run_ends_with_the_estimate_in_short(digits):
    one, two, bucket = dry_run_lines(*answers(digits))
    assert one.startswith("stage-1: each client trains 79,872 numbers, sends 251.2 kB, fetches 251.2 kB")
    assert two.startswith("stage-2: each client trains 80,066 numbers")
    assert bucket.startswith("bucket: at most")


def test_a_dry_run_says_when_the_model_is_not_here(digits):
    answer, federation = answers(digits)
    federation["spec"]["models"][0]["path"] = "/mnt/models/elsewhere"
    assert dry_run_lines(answer, federation) == [
        "no estimate: the folder of digits-tiny is not on this machine; 'pilot estimate --model DIR'"
    ]
