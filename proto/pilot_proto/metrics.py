"""The metrics that a dataset may name, and how their values are read."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

Unit = Literal["share", "score"]
"""`share`: 0 to 1, shown in per cent. `score`: a number of its own, shown as it is."""

FUNCTION_PATTERN = r"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


@dataclass(frozen=True)
class Reading:
    """How a metric's values are read."""

    unit: Unit
    higher_is_better: bool = True


METRICS: Mapping[str, Reading] = {
    "exact-match": Reading("share"),
    "token-f1": Reading("share"),
    "rouge-l": Reading("share"),
    "cider": Reading("score"),
    "iou": Reading("share"),
}

OWN_FUNCTION = Reading("score")
"""Of `module:function`: nobody but the client knows its range, and higher must be better."""


def reading_of(metric: str) -> Reading:
    """How a metric's values are read; a name that is not in the table is a function of the client's own."""
    return METRICS.get(metric, OWN_FUNCTION)


def unit_of(metric: str) -> Unit:
    """`share` for what is quoted in per cent, `score` for the rest."""
    return reading_of(metric).unit


def is_own_function(metric: str) -> bool:
    """True for `module:function`."""
    return metric not in METRICS


def check_metric(metric: str) -> str:
    """Return the metric, or raise ValueError with the names that there are and the nearest of them."""
    if metric in METRICS or re.fullmatch(FUNCTION_PATTERN, metric):
        return metric
    near = difflib.get_close_matches(metric.lower(), METRICS, n=1, cutoff=0.5)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(
        f"{metric!r} is no metric: use {', '.join(METRICS)}, or module:function for one of your own{meant}"
    )


Metric = Annotated[
    str,
    AfterValidator(check_metric),
    WithJsonSchema({"anyOf": [{"enum": list(METRICS)}, {"type": "string", "pattern": FUNCTION_PATTERN}]}),
]
"""A name of the table, or `module:function`, which the client's own environment provides."""
