"""CIDEr-D, boxes and exact match: vectors T11 and T12, the public scorer as an oracle, and the edges."""

import numpy as np
import pytest
from pilot_data import answers, boxes, cider
from pycocoevalcap.cider.cider_scorer import CiderScorer

CANDIDATES = ["a cat sits on a mat", "a dog runs in the park", "two people"]
REFERENCES = [
    ["a cat sits on a mat", "the cat is on the mat"],
    ["a dog is running in a park", "a brown dog runs in the grass"],
    ["two people ride a horse", "a man and a woman on a horse"],
]


def oracle(candidates: list[str], references: list[list[str]]) -> list[float]:
    scorer = CiderScorer()
    for candidate, texts in zip(candidates, references, strict=True):
        scorer += (candidate, texts)
    return list(scorer.compute_score()[1])


def test_cider_d_has_the_values_of_vector_t12():
    scores = cider.cider_d(CANDIDATES, REFERENCES, "whitespace")
    assert scores == pytest.approx([5.89833225, 3.54037911, 1.33158499], rel=1e-8)
    assert sum(scores) / 3 == pytest.approx(3.5900987823, rel=1e-9)


def test_cider_d_agrees_with_the_public_scorer_on_random_captions():
    rng = np.random.default_rng(0)
    words = ["a", "the", "cat", "dog", "sits", "runs", "on", "in", "mat", "park"]

    def caption() -> str:
        return " ".join(rng.choice(words, size=rng.integers(0, 9)))

    candidates = [caption() for _ in range(120)]
    references = [[caption() for _ in range(rng.integers(1, 6))] for _ in candidates]
    got = cider.cider_d(candidates, references, "whitespace")
    assert got == pytest.approx(oracle(candidates, references), abs=1e-12)


def test_perfect_disjoint_captions_score_ten_and_short_ones_less():
    four = ["one two three four", "five six seven eight"]
    assert cider.cider_d(four, [[t] for t in four], "whitespace") == pytest.approx([10, 10])
    two = ["a cat", "the dog"]
    assert cider.cider_d(two, [[t] for t in two], "whitespace") == pytest.approx([5, 5])


def test_a_corpus_of_one_image_scores_nothing():
    assert cider.cider_d(["a cat"], [["a cat"]]) == [0.0]


def test_an_image_without_references_is_refused():
    with pytest.raises(ValueError, match="needs a reference"):
        cider.cider_d(["a"], [[]])


def test_the_ptb_like_tokenizer_lowers_splits_clitics_and_drops_punctuation():
    assert cider.ptb_like("A man isn't riding; the dog's well-fed, at 3.5 mph.") == [
        "a", "man", "is", "n't", "riding", "the", "dog", "'s", "well-fed", "at", "3.5", "mph",
    ]  # fmt: skip


def test_boxes_change_frame_as_in_vector_t11():
    box = boxes.from_xywh((64, 48, 320, 240), 640, 480)
    assert box == pytest.approx((0.1, 0.1, 0.6, 0.6))
    padded = boxes.to_padded(box, 640, 480)
    assert padded == pytest.approx((0.1, 0.2, 0.6, 0.575))
    assert boxes.to_original(padded, 640, 480) == pytest.approx(box)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 0.5, 0.5), (0.25, 0, 0.75, 0.5), 1 / 3),
        ((0, 0, 1, 0.5), (0, 0, 1, 1), 0.5),
        ((0, 0, 0.6, 0.6), (0.1, 0.1, 0.6, 0.6), 0.6944444444),
        ((0, 0, 0.1, 0.1), (0.5, 0.5, 1, 1), 0.0),
        ((0.3, 0.3, 0.3, 0.3), (0.3, 0.3, 0.3, 0.3), 0.0),
        ((0.6, 0.6, 0.1, 0.1), (0.1, 0.1, 0.6, 0.6), 0.0),
    ],
)
def test_overlap_has_the_values_of_vector_t11_and_is_zero_at_the_edges(a, b, expected):
    assert boxes.iou(a, b) == pytest.approx(expected)
    assert boxes.iou(b, a) == pytest.approx(expected)


def test_overlap_equals_a_count_of_cells():
    rng = np.random.default_rng(1)
    for _ in range(50):
        corners = np.sort(rng.integers(0, 21, (2, 2, 2)), axis=1)
        grid = np.zeros((2, 20, 20), bool)
        for k, ((x1, y1), (x2, y2)) in enumerate(corners):
            grid[k, x1:x2, y1:y2] = True
        union = (grid[0] | grid[1]).sum()
        expected = (grid[0] & grid[1]).sum() / union if union else 0.0
        a, b = (tuple(box.reshape(-1) / 20) for box in corners)
        assert boxes.iou(a, b) == pytest.approx(expected)


def test_overlap_is_the_same_in_both_frames():
    a, b = (0.1, 0.2, 0.6, 0.7), (0.2, 0.1, 0.7, 0.9)
    padded = boxes.iou(boxes.to_padded(a, 640, 480), boxes.to_padded(b, 640, 480))
    assert padded == pytest.approx(boxes.iou(a, b))


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("[0.1, 0.2, 0.30, 0.4]", (0.1, 0.2, 0.3, 0.4)),
        ("[ 0.25 , 0.50 , 0.50 , 0.75 ]", (0.25, 0.5, 0.5, 0.75)),
        ("it is at [0, .5, 1, 1.0], surely", (0, 0.5, 1, 1)),
        ("[0.1, 0.2, 0.3]", None),
        ("[0.1, 0.2, 0.3, 0.4, 0.5]", None),
        ("nothing", None),
        ("[1, 2], [0.1,0.1,0.2,0.2]", (0.1, 0.1, 0.2, 0.2)),
    ],
)
def test_the_first_box_of_a_text_is_read(text, box):
    assert boxes.parse(text) == box


def test_a_box_outside_the_image_is_told_by_the_frame_it_is_in():
    assert boxes.inside((0.1, 0.05, 0.6, 0.5), 640, 480, "original")
    assert not boxes.inside((0.1, 0.05, 0.6, 0.5), 640, 480, "padded")
    assert not boxes.inside((0.5, 0.1, 1.2, 0.5), 640, 480, "original")
    assert not boxes.inside((0.6, 0.1, 0.5, 0.5), 640, 480, "original")


@pytest.mark.parametrize(
    ("answer", "normalisation", "right"),
    [
        ("Yes.", "llava", True),
        ("yes", "exact", True),
        ("Yes.", "exact", False),
        ("yes..", "llava", False),
        ("yes!", "lmms-eval", True),
        ("no", "llava", False),
    ],
)
def test_answers_match_after_the_named_normalisation(answer, normalisation, right):
    assert answers.matches(answer, ["yes"], normalisation) is right
