"""From answers to scores."""

import importlib

import pytest
from pilot_data.errors import MetricError
from pilot_data.scoring import check_available, score
from pilot_proto.metrics import METRICS, check_metric, unit_of


def test_exact_match_scores_every_sample_and_their_mean():
    scores = score("exact-match", ["Yes.", "two", "no"], [["yes"], ["three"], ["no", "none"]])
    assert scores.each == (1.0, 0.0, 1.0)
    assert scores.mean == pytest.approx(2 / 3)


def test_half_an_overlap_is_a_hit_and_no_box_is_none():
    references = [["[0, 0, 1, 1]"]] * 3
    scores = score("iou", ["[0, 0, 1, 0.5]", "[0, 0, 1, 0.49]", "there"], references)
    assert scores.each == (1.0, 0.0, 0.0)
    assert scores.detail["mean_iou"] == pytest.approx((0.5 + 0.49) / 3)


def test_cider_names_its_tokenizer():
    references = [["a cat sits there"], ["two dogs run away"]]
    scores = score("cider", ["a cat sits there", "nothing"], references)
    assert scores.each == pytest.approx((10.0, 0.0))
    assert scores.detail == {"tokenizer": "ptb-like"}


@pytest.mark.parametrize("metric", ["token-f1", "rouge-l"])
def test_partial_answers_have_partial_scores(metric):
    scores = score(metric, ["black cat", "dog"], [["cat", "cow"], ["dog"]])
    assert scores.each == pytest.approx((2 / 3, 1.0))
    assert scores.detail


def test_every_metric_of_the_table_is_scored_and_has_a_unit():
    for metric in METRICS:
        assert score(metric, ["[0, 0, 1, 1]"] * 2, [["[0, 0, 1, 1]"], ["[0, 0, 1, 1]"]]).each
    assert [unit_of(metric) for metric in ("exact-match", "iou", "cider", "own:metric")] == [
        "share",
        "share",
        "score",
        "score",
    ]


@pytest.mark.parametrize("name", ["exact-match", "rouge-l", "clinic:score", "clinic.metrics:score_2"])
def test_a_metric_is_a_name_or_a_function(name):
    assert check_metric(name) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rougel", "did you mean 'rouge-l'"),
        ("CIDEr", "did you mean 'cider'"),
        ("clinic:", "module:function"),
        ("", "use"),
    ],
)
def test_another_metric_is_refused_with_the_nearest(name, hint):
    with pytest.raises(ValueError, match=hint):
        check_metric(name)


@pytest.fixture
def clinic(tmp_path, monkeypatch):
    """Writes a module that can be imported during the test."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        name = f"clinic_{abs(hash((tmp_path, text)))}"
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return name

    return write


def test_an_own_function_scores_each_answer_against_its_references(clinic):
    module = clinic("def near(answers, references): return [len(a) - len(r[0]) for a, r in zip(answers, references)]")
    assert score(f"{module}:near", ["abc", "a"], [["ab"], ["a"]]).each == (1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def near(answers, references): return [1.0]", "returned 1 values for 2 answers; return one number"),
        ("def near(answers, references): return [1.0, float('nan')]", "returned nan for answer 1"),
        ("def near(answers, references): return [1, None]", "failed: TypeError in"),
        ("def near(answers, references): raise KeyError('weights')", r"failed: KeyError in clinic_.*\.py, line 1"),
        ("near = 3", "is a int, not a function"),
        ("far = 3", "has no 'near'"),
        ("import not_there_at_all", "cannot be imported here"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_an_own_function_that_breaks_the_rule_is_named_with_the_rule(clinic, text, reason):
    module = clinic(text)
    with pytest.raises(MetricError, match=f"metric '{module}:near'.*{reason}"):
        score(f"{module}:near", ["a", "b"], [["a"], ["b"]])


def test_a_function_that_is_not_there_is_known_before_anything_is_scored():
    check_available("rouge-l")
    with pytest.raises(MetricError, match=r"'nowhere.at_all' cannot be imported.*PYTHONPATH"):
        check_available("nowhere.at_all:near")
