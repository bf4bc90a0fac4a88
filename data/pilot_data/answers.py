"""Exact match of short answers, in the normalisations that public evaluators use.

llava     strip, drop one trailing ".", lower-case        (LLaVA's convert_gqa_for_eval.py)
exact     strip, lower-case                               (usual for OCRVQA)
lmms-eval lower-case, drop all ASCII punctuation          (lmms-eval, GQA)
"""

import string
from collections.abc import Callable, Mapping
from typing import Literal

Normalisation = Literal["llava", "exact", "lmms-eval"]
_DROP = str.maketrans("", "", string.punctuation)


def llava(text: str) -> str:
    """'Yes. ' -> 'yes'."""
    return text.strip().removesuffix(".").strip().lower()


def exact(text: str) -> str:
    """' Yes ' -> 'yes'."""
    return text.strip().lower()


def lmms_eval(text: str) -> str:
    """'It's red!' -> 'its red'."""
    return " ".join(text.lower().translate(_DROP).split())


NORMALISATIONS: Mapping[Normalisation, Callable[[str], str]] = {
    "llava": llava,
    "exact": exact,
    "lmms-eval": lmms_eval,
}


def matches(answer: str, references: list[str], normalisation: Normalisation = "llava") -> bool:
    """True when the answer equals one of the references after normalisation."""
    normal = NORMALISATIONS[normalisation]
    return normal(answer) in {normal(reference) for reference in references}
