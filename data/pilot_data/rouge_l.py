"""ROUGE-L of a sentence, Lin 2004, "ROUGE: a package for automatic evaluation of summaries", eq. 2-4.

    P = LCS(a, r) / |a|      R = LCS(a, r) / |r|      F = (1 + beta^2) P R / (R + beta^2 P)      0 when LCS is 0

LCS: length of the longest common subsequence of tokens.  beta = 1, as in the `rouge-score` package; COCO's caption
evaluation takes 1.2, and its values are not comparable. The score of a sample is the largest over its references.
Tokens are lower-case runs of letters and digits, without stemming: those of `rouge-score` on ASCII text, and other
alphabets stay.
"""

import re
from collections.abc import Sequence

BETA = 1.0
_TOKEN = re.compile(r"[^\W_]+")


def tokens(text: str) -> list[str]:
    """'A well-fed cat.' -> ['a', 'well', 'fed', 'cat']."""
    return _TOKEN.findall(text.lower())


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence; |a| |b| steps, memory of one row."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            above = row[j]
            row[j] = diagonal + 1 if word == other else max(above, row[j - 1])
            diagonal = above
    return row[-1]


def f_measure(answer: Sequence[str], reference: Sequence[str], beta: float = BETA) -> float:
    """F of two token sequences, in [0, 1]; 0 when either is empty."""
    longest = lcs_length(answer, reference)
    if not longest:
        return 0.0
    precision, recall = longest / len(answer), longest / len(reference)
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """The largest F over the references, in [0, 1]. Raises ValueError when there are none."""
    if not references:
        raise ValueError("an answer without references cannot be scored")
    words = tokens(answer)
    return max(f_measure(words, tokens(reference)) for reference in references)
