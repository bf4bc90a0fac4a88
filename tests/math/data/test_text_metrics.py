"""Token F1 and ROUGE-L: a second, naive writing of each, a public scorer as an oracle, and the edges."""

import re
import string
from itertools import combinations

import numpy as np
import pytest
from pilot_data import rouge_l, token_f1
from pycocoevalcap.rouge.rouge import Rouge

WORDS = ["a", "the", "cat", "dog", "sits", "on", "mat"]


def sentences(count: int, least: int = 0, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(least, 8))) for _ in range(count)]


def naive_f1(answer: str, reference: str) -> float:
    def words(text: str) -> list[str]:
        kept = "".join(c for c in text.lower() if c not in string.punctuation)
        return [w for w in kept.split() if w not in ("a", "an", "the")]

    mine, theirs = words(answer), words(reference)
    left, shared = list(theirs), 0
    for word in mine:
        if word in left:
            left.remove(word)
            shared += 1
    if not mine or not theirs:
        return 1.0 if mine == theirs else 0.0
    if not shared:
        return 0.0
    precision, recall = shared / len(mine), shared / len(theirs)
    return 2 * precision * recall / (precision + recall)


def naive_lcs(a: list[str], b: list[str]) -> int:
    def within(some: tuple[str, ...]) -> bool:
        rest = iter(b)
        return all(word in rest for word in some)

    return next(n for n in range(len(a), -1, -1) if any(within(some) for some in combinations(a, n)))


def test_token_f1_agrees_with_a_count_by_hand():
    for answer, reference in zip(sentences(200), sentences(200, seed=1), strict=True):
        assert token_f1.token_f1(answer, [reference]) == pytest.approx(naive_f1(answer, reference))


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("The cat!", ["cat"], 1.0),
        ("black cat", ["cat"], 2 / 3),
        ("cat cat", ["cat"], 2 / 3),
        ("dog", ["cat"], 0.0),
        ("dog", ["cat", "a dog"], 1.0),
        ("", ["cat"], 0.0),
        ("cat", [""], 0.0),
        ("", [""], 1.0),
        ("the", ["."], 1.0),
    ],
)
def test_token_f1_at_its_boundaries(answer, references, expected):
    assert token_f1.token_f1(answer, references) == pytest.approx(expected)


def test_the_longest_common_subsequence_agrees_with_trying_all():
    for a, b in zip(sentences(80), sentences(80, seed=1), strict=True):
        assert rouge_l.lcs_length(a.split(), b.split()) == naive_lcs(a.split(), b.split())


def test_rouge_l_agrees_with_the_public_scorer_at_its_beta():
    scorer = Rouge()
    for answer, reference in zip(sentences(200, 1), sentences(200, 1, seed=1), strict=True):
        got = rouge_l.f_measure(answer.split(), reference.split(), beta=1.2)
        assert got == pytest.approx(scorer.calc_score([answer], [reference]))


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("police killed the gunman", ["Police kill the gunman."], 3 / 4),
        ("the gunman kill police", ["police kill the gunman"], 2 / 4),
        ("a cat", ["a black cat sits"], 2 * 1 * 0.5 / 1.5),
        ("a cat", ["a dog", "a cat"], 1.0),
        ("", ["a cat"], 0.0),
        ("a cat", [""], 0.0),
        ("", [""], 0.0),
        ("Gr\u00f6\u00dfe", ["gr\u00f6\u00dfe"], 1.0),
    ],
)
def test_rouge_l_at_its_boundaries(answer, references, expected):
    assert rouge_l.rouge_l(answer, references) == pytest.approx(expected)


def test_rouge_l_takes_words_of_letters_and_digits():
    assert rouge_l.tokens("A well-fed_cat, 3.5 kg") == re.findall("[a-z0-9]+", "a well fed cat 3 5 kg")


@pytest.mark.parametrize("metric", [token_f1.token_f1, rouge_l.rouge_l])
def test_an_answer_without_references_is_refused(metric):
    with pytest.raises(ValueError, match="without references"):
        metric("a cat", [])
