"""Each answer is worked out again here from the written instruction and the boxes, in another way than it was made."""

import re

import numpy as np
import pytest
from pilot_digits.boxes import box_text
from pilot_digits.captions import captions
from pilot_digits.generic import corner_query, reading_query
from pilot_digits.handwriting import pools
from pilot_digits.profiles import FEDERATIONS
from pilot_digits.questions import QUESTION_KINDS, ask
from pilot_digits.samples import Sizes, draw_federation
from pilot_digits.scenes import Digit, Look, draw_layout
from pilot_digits.vocabulary import COORDINATE_WORDS, MARKS, VOCABULARY, unknown_words

NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def answer_again(question: str, digits) -> str:
    middle = {NAMES[d.number]: (d.left + d.right, d.top + d.bottom) for d in digits}  # in half pixels, canvas 64
    if question.startswith("how many"):
        return NAMES[len(digits)]
    if found := re.fullmatch(r"is there a (\w+) \?", question):
        return "yes" if found[1] in middle else "no"
    if found := re.fullmatch(r"which digit is in the (\w+) (\w+) \?", question):
        wanted = (found[1] == "bottom", found[2] == "right")
        [name] = [name for name, (x, y) in middle.items() if (y >= 32, x >= 32) == wanted]
        return name
    found = re.fullmatch(r"which digit is the (left|right|top|bottom)most \?", question)
    assert found, question
    axis = 0 if found[1] in ("left", "right") else 1
    edge = (min if found[1] in ("left", "top") else max)(centre[axis] for centre in middle.values())
    [name] = [name for name, centre in middle.items() if centre[axis] == edge]
    return name


@pytest.fixture(scope="module")
def layouts():
    rng = np.random.default_rng(5)
    return [draw_layout(rng, Look()) for _ in range(500)]


@pytest.mark.parametrize("kind", range(len(QUESTION_KINDS)), ids=QUESTION_KINDS)
def test_every_answer_is_the_only_right_one(layouts, kind):
    rng = np.random.default_rng(kind)
    for digits in layouts:
        question, answer = ask(rng, digits, np.eye(len(QUESTION_KINDS))[kind])
        assert answer == answer_again(question, digits)


def test_a_mix_of_questions_asks_each_kind_and_yes_as_often_as_no(layouts):
    rng = np.random.default_rng(0)
    pairs = [ask(rng, digits, (1, 1, 1, 1)) for digits in layouts]

    starts = {" ".join(question.split()[:4]) for question, _ in pairs}
    yes, no = (sum(answer == word for _, answer in pairs) for word in ("yes", "no"))
    assert starts == {"how many digits are", "which digit is in", "which digit is the"} | {
        f"is there a {name}" for name in NAMES
    }
    assert 0.6 < yes / no < 1.6


def test_captions_name_exactly_the_digits_in_order(layouts):
    for digits in layouts:
        across = [NAMES[d.number] for d in sorted(digits, key=lambda d: d.left + d.right)]
        down = [NAMES[d.number] for d in sorted(digits, key=lambda d: d.top + d.bottom)]
        first, second, counted, listed, placed = captions(digits)

        assert re.split(" to the left of ", first) == [f"a {name}" for name in across]
        assert re.split(" above ", second) == [f"a {name}" for name in down]
        count, names = counted.split(" : ")
        assert count == f"{NAMES[len(digits)]} {'digit' if len(digits) == 1 else 'digits'}"
        assert names.split(" and ") == across
        assert listed.removeprefix("this image shows ").split(" , ") == [f"a {name}" for name in across]
        assert [part.split()[0] for part in placed.split(" ; ")] == across


def test_captions_put_each_digit_into_its_quarter():
    digits = (Digit(7, 20, 0, 32, 12), Digit(2, 0, 20, 8, 28))

    assert captions(digits)[4] == "two in the bottom left ; seven in the top right"


def test_boxes_read_back_as_the_box_on_the_lattice(layouts):
    for digit in (digit for digits in layouts for digit in digits):
        words = box_text(digit).split()
        assert words[0::2] == ["[", ",", ",", ",", "]"]
        edges = [float(word) * 32 for word in words[1::2]]
        snapped = [4 * round(edge / 4) for edge in edges]
        assert snapped == [digit.left, digit.top, digit.right, digit.bottom]
        assert max(abs(a - b) for a, b in zip(edges, snapped, strict=True)) < 32 * 0.0051
        assert 0 <= snapped[0] < snapped[2] <= 32
        assert 0 <= snapped[1] < snapped[3] <= 32


def test_a_box_is_left_top_right_bottom():
    assert box_text(Digit(0, 8, 16, 16, 24)) == "[ 0.25 , 0.50 , 0.50 , 0.75 ]"


def test_generic_queries_are_answered_by_what_is_there():
    rng = np.random.default_rng(6)
    for query in [reading_query(rng, pools()["val"]) for _ in range(300)]:
        digits = query.scene.digits
        if query.question == "list the digits .":
            expected = " ".join(NAMES[d.number] for d in sorted(digits, key=lambda d: d.left + d.right))
        elif query.question == "read from the top .":
            expected = " ".join(NAMES[d.number] for d in sorted(digits, key=lambda d: d.top + d.bottom))
        else:
            x, y = (32 * float(word) + 0.2 for word in re.findall(r"\d\.\d\d", query.question))  # 0.12 is 3.84
            [expected] = [NAMES[d.number] for d in digits if d.left <= x < d.right and d.top <= y < d.bottom] or [
                "nothing"
            ]
        assert query.answer == expected


def test_corner_queries_give_corners():
    rng = np.random.default_rng(7)
    for query in [corner_query(rng, pools()["val"]) for _ in range(200)]:
        found = re.fullmatch(r"give the (top left|bottom right) of the (\w+) \.", query.question)
        assert found
        [digit] = [d for d in query.scene.digits if NAMES[d.number] == found[2]]
        corner = (digit.left, digit.top) if found[1] == "top left" else (digit.right, digit.bottom)
        assert query.answer == f"{corner[0] / 32:.2f} , {corner[1] / 32:.2f}"


def test_the_vocabulary_has_99_different_words_and_starts_with_the_marks():
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 99
    assert VOCABULARY[:5] == MARKS == ("<pad>", "<bos>", "<eos>", "<image>", "<unk>")
    assert len(set(COORDINATE_WORDS)) == 33


def test_a_strange_word_is_noticed():
    assert unknown_words("which giraffe is the leftmost ?") == ["giraffe"]


@pytest.mark.parametrize("federation", FEDERATIONS)
def test_every_word_of_a_federation_is_in_the_vocabulary(federation):
    data = draw_federation(federation, seed=0, sizes=Sizes())
    texts = {
        text
        for splits in data.values()
        for samples in splits.values()
        for sample in samples
        for text in (sample.instruction, sample.answer, *sample.references)
    }

    assert {word for text in texts for word in unknown_words(text)} == set()
