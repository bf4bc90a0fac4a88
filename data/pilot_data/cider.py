"""CIDEr-D, Vedantam et al. 2015, in the form of pycocoevalcap's `cider_scorer.py`.

    g(w)  = tf(w) (log I - log max(1, df(w)))                              for each n-gram w, n = 1..4
    sim_n = sum_w min(g_h(w), g_r(w)) g_r(w) / (|g_h| |g_r|) exp(-(l_h - l_r)^2 / (2 sigma^2))
    score = 10 mean_r mean_n sim_n

I: images of the corpus.  df(w): those with w in any reference.  h: candidate, r: reference.  sigma = 6.
As in that code, the length l is the number of bigrams. Published numbers are this score times 100 (a mean of 1.24 is
"124.0"); we return the score as it is, in [0, 10]. Scores of different tokenizers are not comparable, so the
tokenizer is named with every score.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

NUM_ORDERS = 4
SIGMA = 6.0
# What pycocoevalcap drops after the Stanford tokenizer.
PUNCTUATION = frozenset(
    ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", "(", ")", "{", "}", "[", "]"]
)
Grams = Counter[tuple[str, ...]]
TokenizerName = Literal["whitespace", "ptb-like"]


@dataclass(frozen=True)
class _Vector:
    weights: Mapping[tuple[str, ...], float]
    norms: tuple[float, ...]
    num_bigrams: int


def whitespace(text: str) -> list[str]:
    """Tokens between blanks, as they are."""
    return text.split()


def ptb_like(text: str) -> list[str]:
    """Lower-case words without punctuation, clitics split off; close to the Stanford PTB tokenizer, not equal to it."""
    split = re.sub(r"(n't|'s|'re|'ve|'ll|'d|'m)\b", r" \1", text.lower())
    tokens = re.findall(r"n't|'(?:s|re|ve|ll|d|m)\b|\w+(?:[-./]\w+)*|[^\w\s]+", split)
    return [token for token in tokens if token not in PUNCTUATION]


TOKENIZERS: Mapping[TokenizerName, Callable[[str], list[str]]] = {"whitespace": whitespace, "ptb-like": ptb_like}


def cider_d(
    candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: TokenizerName = "ptb-like"
) -> list[float]:
    """One score in [0, 10] per image. A corpus of one image scores 0: every document frequency is log 1.

    Raises ValueError when there is not exactly one candidate and at least one reference per image.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError(f"{len(candidates)} captions for {len(references)} images, each of which needs a reference")
    tokenize = TOKENIZERS[tokenizer]
    cooked = [[_grams(tokenize(text)) for text in texts] for texts in references]
    df = Counter(gram for texts in cooked for gram in {g for text in texts for g in text})
    log_images = math.log(max(len(cooked), 1))
    return [
        _score(_vector(_grams(tokenize(h)), df, log_images), [_vector(r, df, log_images) for r in texts])
        for h, texts in zip(candidates, cooked, strict=True)
    ]


def _grams(tokens: Sequence[str]) -> Grams:
    return Counter(tuple(tokens[i : i + n]) for n in range(1, NUM_ORDERS + 1) for i in range(len(tokens) - n + 1))


def _vector(grams: Grams, df: Grams, log_images: float) -> _Vector:
    g = {w: tf * (log_images - math.log(max(1, df[w]))) for w, tf in grams.items()}
    squares = [sum(v * v for w, v in g.items() if len(w) == n) for n in range(1, NUM_ORDERS + 1)]
    num_bigrams = sum(tf for w, tf in grams.items() if len(w) == 2)
    return _Vector(g, tuple(math.sqrt(s) for s in squares), num_bigrams)


def _score(h: _Vector, references: Sequence[_Vector]) -> float:
    return 10.0 * sum(_similarity(h, r) for r in references) / len(references)


def _similarity(h: _Vector, r: _Vector) -> float:
    dots = [0.0] * NUM_ORDERS
    for w, g_h in h.weights.items():
        g_r = r.weights.get(w, 0.0)
        dots[len(w) - 1] += min(g_h, g_r) * g_r
    penalty = math.exp(-((h.num_bigrams - r.num_bigrams) ** 2) / (2 * SIGMA**2))
    sims = [d / (a * b) if a and b else 0.0 for d, a, b in zip(dots, h.norms, r.norms, strict=True)]
    return penalty * sum(sims) / NUM_ORDERS
