"""Which linear layers LoRA adapts: a name for the usual choices, or a pattern of one's own.

Modules are named as transformers names them inside a LLaVA model: `model.language_model.layers.0.self_attn.q_proj`. A
pattern is a regular expression over the whole of such a name, which is how peft reads one. peft's own shorthands
(`all-linear`, a list of suffixes) also adapt the vision tower; nothing here can.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_LAYER = r".*language_model\.layers\.\d+\."
TARGETS = {
    "language-linear": _LAYER + r"(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj",
    "attention": _LAYER + r"self_attn\.(q|k|v|o)_proj",
    "query-value": _LAYER + r"self_attn\.(q|v)_proj",
}
LANGUAGE_MODEL = "model.language_model."
_SHOWN = 3


class BadTarget(ValueError):
    """A target that matches nothing in this model, or something that is not to be adapted."""


def check_target(target: str) -> str:
    """Return a name of TARGETS or a pattern, or raise ValueError saying which rule it breaks."""
    if target in TARGETS:
        return target
    if "." not in target:
        near = difflib.get_close_matches(target, TARGETS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"{target!r} is no name of LoRA targets: {hint}use {', '.join(TARGETS)}, or a regular expression over "
            r"whole module names, such as '.*language_model\.layers\.\d+\.mlp\.down_proj'"
        )
    try:
        re.compile(target)
    except re.error as error:
        raise ValueError(f"{target!r} is no regular expression: {error}") from error
    return target


Target = Annotated[str, StringConstraints(max_length=300), AfterValidator(check_target)]
"""`language-linear` (all seven of each layer), `attention`, `query-value`, or a regular expression over whole names."""


def pattern_of(target: str) -> str:
    """The regular expression that a target stands for."""
    return TARGETS.get(target, target)


def matched(target: str, linears: Iterable[str]) -> list[str]:
    """The linear layers that a target adapts, sorted. `linears`: the names of all linear layers of the model.

    Raises:
        BadTarget: it matches none, or one outside of the language model's layers; names the nearest that there are.
    """
    names, pattern = sorted(linears), pattern_of(target)
    found = [name for name in names if re.fullmatch(pattern, name)]
    inside = [name for name in names if name.startswith(LANGUAGE_MODEL)]
    if not found:
        raise BadTarget(
            f"target_modules {target!r} matches none of the {len(inside)} linear layers of the language model; a "
            f"pattern must match the whole name, such as {_nearest(target, inside)}"
        )
    outside = [name for name in found if not name.startswith(LANGUAGE_MODEL)]
    if outside:
        raise BadTarget(
            f"target_modules {target!r} matches {len(outside)} layers outside of the language model, first "
            f"{outside[0]}; only what stands below {LANGUAGE_MODEL}layers may be adapted, such as "
            f"{_nearest(target, inside)}"
        )
    return found


def _nearest(target: str, names: list[str]) -> str:
    """Names like the target, as they stand in the first layer."""
    first = [name for name in names if ".layers.0." in name] or names
    plain = re.sub(r"\\d\+|[\\^$*+?()\[\]{}|]", "", pattern_of(target))
    near = difflib.get_close_matches(plain, first, n=_SHOWN, cutoff=0.0)
    return ", ".join(near) if near else "none: the model has no linear layers there"
