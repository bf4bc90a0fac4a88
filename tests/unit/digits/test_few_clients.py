"""The study of few clients: what it runs, what it makes of the numbers, and that its page says what was measured."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from pilot_cli.errors import CommandError
from pilot_cli.local.commands import demo
from pilot_digits.profiles import profiles
from pilot_digits.runs import RUN_FILES, run_yaml
from pilot_proto.presets import expand

ROOT = Path(__file__).parents[3]
FILES = {method: file for file, method in RUN_FILES.items()}


@pytest.fixture
def study(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(ROOT)
    parts = ("settings", "results", "comparison", "table", "run")
    return SimpleNamespace(**{part: importlib.import_module(f"studies.few_clients.{part}") for part in parts})


@pytest.fixture
def kept(study):
    return study.results.read(study.results.RESULTS)


def written(method: str):
    return yaml.safe_load(run_yaml("digits-3", FILES[method]))


def measured(study, setting: str, seed: int, split: str, merged: float, local: float = 0.5):
    scores = (merged, merged, 1.0, 0.0) if split == "test" else ()
    clients = {
        p.client: study.results.Outcome(0.0, (0.1, merged), (0.1, local), scores) for p in profiles("digits-3", 0)
    }
    return study.results.Measured(setting, seed, split, clients, {"client-vqa-1-text": f"sha256:{merged}"})


def test_the_tables_of_the_page_are_those_of_the_measured_runs(study, kept):
    page = study.table.PAGE.read_text()

    assert study.table.page(page, kept) == page, "run 'python -m studies.few_clients.table'"


def test_every_setting_was_measured_with_every_seed_on_both_splits(study, kept):
    seeds = study.comparison.seeds(kept)
    wanted = {(s.name, seed, split) for s in study.settings.SETTINGS for seed in seeds for split in s.splits}

    assert len(seeds) >= 3
    assert wanted == {(run.setting, run.seed, run.split) for run in kept}
    assert all([*run.clients] == ["caption-1", "grounding-1", "vqa-1"] for run in kept)


def test_a_run_for_val_and_its_twin_for_test_ended_with_the_same_bytes(kept):
    ends = {(run.setting, run.seed, run.split): run.adapters for run in kept}
    on_val = [(setting, seed) for setting, seed, split in ends if split == "val"]

    assert [ends[setting, seed, "val"] for setting, seed in on_val] == [ends[s, n, "test"] for s, n in on_val]
    on_test = [tuple(sorted(end.items())) for (_, _, split), end in ends.items() if split == "test"]
    assert len(set(on_test)) == len(on_test)


def test_the_mean_of_the_scores_is_the_value_that_was_reported(kept):
    for run in kept:
        for outcome in run.clients.values() if run.split == "test" else ():
            assert sum(outcome.scores) / 100 == pytest.approx(outcome.merged[-1], abs=1e-4)


def test_a_setting_changes_in_the_run_file_of_its_method_what_it_says_and_nothing_else(study):
    for setting in study.settings.SETTINGS:
        made = study.settings.document(written(setting.method), setting, 7, "val")
        run, plain = expand(made).spec, expand(written(setting.method)).spec

        assert made["metadata"]["name"] == f"{setting.name}-seed-7-val"
        assert (run.training.seed, run.evaluation.split, run.evaluation.samples) == (7, "val", 60)
        assert run.rounds == (setting.rounds or plain.rounds)
        assert run.merge.connector == plain.merge.connector
        assert {key: getattr(run.merge.text, key) for key in setting.text} == dict(setting.text)
        assert (
            run.training.model_copy(update={"seed": 0, "learning_rate": plain.training.learning_rate}) == plain.training
        )
        assert {run.training.learning_rate.of(program).text for program in run.rounds} == {3e-3}


def test_settings_are_chosen_by_merged_on_val_whatever_test_and_local_say(study):
    runs = [
        measured(study, setting, 0, split, merged, local)
        for setting, split, merged, local in (
            ("m0", "val", 0.6, 0.1),
            ("m0", "test", 0.2, 0.1),
            ("m1", "val", 0.5, 0.9),
            ("m1", "test", 0.9, 0.9),
        )
    ]

    assert study.comparison.chosen(runs, ["m1", "m0"]) == "m0"


def test_a_row_has_means_over_seeds_on_the_scales_of_the_tables(study):
    runs = [measured(study, "m1", seed, "test", merged) for seed, merged in ((0, 0.2), (1, 0.4))]
    row = study.comparison.row(runs, "m1", "test", "merged")

    assert row.tasks == pytest.approx({"caption": 3.0, "grounding": 30.0, "vqa": 30.0})
    assert row.mean == pytest.approx(21.0)
    assert row.spread == pytest.approx((28 - 14) / 2**0.5)
    assert study.comparison.row(runs, "m1", "test", "local").tasks["vqa"] == 50.0
    assert study.comparison.row(runs, "m1", "test", "merged", 1).mean == pytest.approx(7.0)


def test_differences_are_paired_by_seed_and_by_sample(study):
    runs = [measured(study, "m1", seed, "test", merged) for seed, merged in ((1, 0.8), (0, 0.4))]
    runs += [measured(study, "local", seed, "test", 0.2) for seed in (0, 1)]
    gain = study.comparison.gain(runs, "m1", "local", "vqa")

    assert study.comparison.by_seed(runs, "m1", "local", "merged") == pytest.approx([14.0, 42.0])
    assert study.comparison.by_seed(runs, "m1", "local", "local") == [0.0, 0.0]
    # Two of four samples gain 0.4 on average over the seeds, two gain nothing.
    assert (gain.value, gain.low, gain.high) == pytest.approx((20.0, 0.0, 40.0))


def test_a_study_that_was_interrupted_measures_what_is_left_on_the_splits_that_a_setting_needs(study):
    known = study.run.KNOWN
    done = [measured(study, "m0", 0, "val", 0.1), measured(study, "m0", 1, "test", 0.1)]
    left = study.run.jobs([known["m0"], known["fedavg"]], [0, 1], done)

    assert [(job[0].name, *job[1:]) for job in left] == [
        ("m0", 0, "test"),
        ("fedavg", 0, "test"),
        ("m0", 1, "val"),
        ("fedavg", 1, "test"),
    ]


def test_results_read_back_and_their_file_does_not_tell_in_which_order_they_came(study, tmp_path):
    runs = [measured(study, "m1", 0, "test", 0.2), measured(study, "local", 0, "val", 0.3)]
    study.results.write(tmp_path / "a.json", runs)
    study.results.write(tmp_path / "b.json", runs[::-1])

    assert study.results.read(tmp_path / "a.json") == runs[::-1]
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert study.results.read(tmp_path / "none.json") == []


def test_a_page_without_the_marks_is_refused(study, kept):
    with pytest.raises(ValueError, match="needs the marks"):
        study.table.page("no marks", kept)


def test_the_demo_names_the_federations_there_are_and_leaves_nothing(tmp_path):
    with pytest.raises(CommandError, match="unknown federation 'letters'") as caught:
        demo(federation="letters", method="pilot", compare="", state=tmp_path / "state")

    assert "digits-3" in str(caught.value.hint)
    assert list(tmp_path.iterdir()) == []
