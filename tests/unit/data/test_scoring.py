"""From answers to scores."""

import pytest
from pilot_data.scoring import score


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
