"""Token F1 of short answers, Rajpurkar et al. 2016 (SQuAD), as in the official `evaluate-v2.0.py`.

    P = |a and r| / |a|      R = |a and r| / |r|      F1 = 2 P R / (P + R)          0 when nothing is shared

a, r: the bags of tokens of answer and reference after SQuAD's normalisation (lower-case, ASCII punctuation out,
articles out, split at blanks). When either bag is empty, F1 is 1 if both are and 0 otherwise. The score of a sample is
the largest over its references.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalised(text: str) -> list[str]:
    """'The cat, on a mat.' -> ['cat', 'on', 'mat']."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of two bags of tokens, in [0, 1]."""
    if not answer or not reference:
        return float(len(answer) == len(reference))
    shared = (Counter(answer) & Counter(reference)).total()
    # 2 P R / (P + R) with both fractions multiplied out.
    return 2 * shared / (len(answer) + len(reference))


def token_f1(answer: str, references: Sequence[str]) -> float:
    """The largest F1 over the references, in [0, 1]. Raises ValueError when there are none."""
    if not references:
        raise ValueError("an answer without references cannot be scored")
    tokens = normalised(answer)
    return max(f1(tokens, normalised(reference)) for reference in references)
