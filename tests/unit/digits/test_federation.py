import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pilot_digits.federation import write_federation
from pilot_digits.handwriting import pools
from pilot_digits.profiles import profiles
from pilot_digits.runs import RUN_FILES
from pilot_digits.samples import SPLITS, Sizes, draw_federation
from pilot_proto.dataset import Dataset
from pilot_proto.federation import Federation
from pilot_proto.presets import expand

FEDERATIONS = ["digits", "digits-noniid", "digits-3"]
TASKS = ("vqa", "caption", "grounding")
NEIGHBOURS = {"digits": 2, "digits-noniid": 2, "digits-3": 0}
SMALL = Sizes(train=8, val=3, test=4)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def document(path: Path):
    return yaml.safe_load(path.read_text())


@pytest.fixture(scope="module", params=FEDERATIONS)
def written(request, tmp_path_factory) -> Path:
    return write_federation(request.param, tmp_path_factory.mktemp("written") / request.param, sizes=SMALL).parent


def test_the_federation_file_is_valid_and_names_clients_that_exist(written):
    federation = Federation.model_validate(document(written / "federation.yaml"))

    numbers = (1,) if federation.metadata.name == "digits-3" else (1, 2, 3)
    assert [c.name for c in federation.spec.clients] == [f"{task}-{number}" for task in TASKS for number in numbers]
    for client in federation.spec.clients:
        dataset = Dataset.model_validate(document(written / client.data / "dataset.yaml"))
        assert (dataset.metadata.name, dataset.spec.task) == (client.name, client.task)
    assert (written / federation.spec.models[0].path / "config.json").is_file()


def test_the_run_files_are_valid_and_differ_in_method_only(written):
    runs = {file: expand(document(written / file)).spec for file in RUN_FILES}
    pilot = runs["run.yaml"]

    assert (pilot.model, pilot.method, pilot.rounds) == ("digits-tiny", "pilot", ("stage-1", "stage-2", "stage-2"))
    assert (pilot.merge.text.rule, pilot.merge.text.neighbours) == ("nearest", NEIGHBOURS[written.name])
    assert {runs[f].merge.text.rule for f in ("run-local.yaml", "run-fedavg.yaml")} == {"none", "mean"}
    for spec in runs.values():
        training = spec.training
        rates = [training.learning_rate.of(program) for program in spec.rounds]
        assert {(rate.connector, rate.text) for rate in rates} == {(1e-3, 3e-3)}
        assert (training.num_train_epochs, training.effective_batch_size, training.precision) == (6, 8, "fp32")
        assert (training.lora, training.max_grad_norm) == (pilot.training.lora, 1.0)
        assert (training.lora.r, training.lora.lora_alpha, training.lora.lora_dropout) == (8, 16, 0.0)
        assert (spec.evaluation.split, spec.evaluation.samples, training.seed) == ("test", 100, 0)


def test_each_line_of_a_run_file_that_leaves_the_preset_says_what_the_preset_has(written):
    for file in RUN_FILES:
        settings = (written / file).read_text().split("  training:\n")[1].splitlines()
        own = [line for line in settings if re.search(r": \S", line.split("#")[0])]
        rates = [line for line in own if re.match(r"      (stage-[12]|plain):", line)]  # their heading says it
        assert [line for line in own if "# preset: " not in line and line not in rates] == []


def test_records_are_llava_json_with_a_picture_each(written):
    for folder in sorted((written / "data").iterdir()):
        named = set()
        for split in SPLITS:
            rows = json.loads((folder / f"{split}.json").read_text())
            for row in rows:
                human, gpt = row["conversations"]
                assert (human["from"], gpt["from"]) == ("human", "gpt")
                assert human["value"].startswith("<image>\n")
                assert gpt["value"]
                assert ("references" in row) == folder.name.startswith("caption")
                assert gpt["value"] in row.get("references", [gpt["value"]])
                named.add(row["image"])
                with Image.open(folder / row["image"]) as image:
                    assert (image.size, image.mode) == ((32, 32), "L")
        assert {f"images/{path.name}" for path in (folder / "images").iterdir()} == named


def test_pictures_on_disk_are_the_scenes_pixel_by_pixel(tmp_path):
    write_federation("digits", tmp_path, sizes=SMALL)
    for client, splits in draw_federation("digits", seed=0, sizes=SMALL).items():
        for index, sample in enumerate(splits["test"]):
            with Image.open(tmp_path / f"data/{client}/images/test-{index:06d}.png") as image:
                np.testing.assert_array_equal(np.asarray(image), sample.scene.pixels)


@pytest.mark.parametrize("name", FEDERATIONS)
def test_writing_elsewhere_gives_the_same_bytes_and_writing_again_touches_nothing(name, tmp_path):
    for folder in ("a", "b"):
        write_federation(name, tmp_path / folder, sizes=SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    write_federation(name, tmp_path / "a", sizes=SMALL)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == before


def test_a_smaller_federation_in_the_same_place_leaves_no_stray_pictures(tmp_path):
    write_federation("digits", tmp_path / "a", sizes=SMALL)
    write_federation("digits", tmp_path / "a", sizes=Sizes(train=4, val=1, test=2))
    write_federation("digits", tmp_path / "b", sizes=Sizes(train=4, val=1, test=2))

    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_seed_gives_other_scenes_from_the_same_pools():
    one, two = (draw_federation("digits", seed=seed, sizes=SMALL)["vqa-1"]["test"] for seed in (0, 1))

    assert [sample.scene.sources for sample in one] != [sample.scene.sources for sample in two]


def test_an_unknown_federation_or_an_empty_split_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ValueError, match="'letters'; there are digits, digits-noniid, digits-3"):
        write_federation("letters", tmp_path)
    with pytest.raises(ValueError, match="at least 1 sample"):
        Sizes(val=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FEDERATIONS)
def test_a_split_shows_handwriting_of_its_own_pool_only(name):
    data = draw_federation(name, seed=3, sizes=Sizes())
    for split in SPLITS:
        used = {i for splits in data.values() for sample in splits[split] for i in sample.scene.sources}
        assert used <= set(pools()[split].indices)
        assert len(used) > (0.9 if len(data) == 9 else 0.5) * len(pools()[split].indices)


def test_clients_have_about_the_asked_number_of_training_samples():
    counts = [len(splits["train"]) for splits in draw_federation("digits", seed=0, sizes=Sizes()).values()]

    assert all(90 <= count <= 150 for count in counts)
    assert len(set(counts)) > 3


def test_digits_splits_one_data_set_per_task_so_its_clients_share_look_wording_and_mix():
    for task in ("vqa", "caption", "grounding"):
        own = [(p.look, p.wording, p.mix) for p in profiles("digits", 0) if p.task == task]
        assert len(own) == 3
        assert len(set(own)) == 1


def test_digits_noniid_gives_each_client_its_own_look_digits_wording_and_mix():
    clients = profiles("digits-noniid", 0)
    assert len({p.look.class_weights for p in clients}) == 9
    for task in ("vqa", "caption", "grounding"):
        own = [p for p in clients if p.task == task]
        assert len({(p.look.sizes, p.look.contrast, p.look.noise, p.look.inverted) for p in own}) == 3
        assert len({p.wording for p in own}) == 3
        assert task == "grounding" or len({p.mix for p in own}) == 3


def test_digits_3_holds_the_first_client_of_each_task_byte_for_byte(tmp_path):
    for name in ("digits", "digits-3"):
        write_federation(name, tmp_path / name, sizes=SMALL)

    clients = sorted(path.name for path in (tmp_path / "digits-3/data").iterdir())
    assert clients == ["caption-1", "grounding-1", "vqa-1"]
    for client in clients:
        assert contents(tmp_path / "digits-3/data" / client) == contents(tmp_path / "digits/data" / client)


def test_digits_3_has_clients_of_the_size_of_a_digits_client():
    data = draw_federation("digits-3", seed=0, sizes=Sizes())

    assert [len(splits["val"]) for splits in data.values()] == [60] * 3
    assert [len(splits["test"]) for splits in data.values()] == [100] * 3
    assert all(90 <= len(splits["train"]) <= 150 for splits in data.values())


def test_digits_noniid_is_skewed_in_what_is_drawn_and_digits_is_not():
    def commonest_share(name: str) -> float:
        shares = []
        for splits in draw_federation(name, seed=0, sizes=Sizes()).values():
            numbers = [digit.number for sample in splits["train"] for digit in sample.scene.digits]
            shares.append(np.bincount(numbers).max() / len(numbers))
        return float(np.mean(shares))

    assert commonest_share("digits") < 0.16 < commonest_share("digits-noniid")


def test_writing_a_federation_needs_no_torch():
    code = "import sys, pilot_digits.federation; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
