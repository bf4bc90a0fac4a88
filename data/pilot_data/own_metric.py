"""A metric that the client's own environment provides: `module:function`, loaded where it is used and nowhere else."""

import importlib
import math
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pilot_data.errors import MetricError

OwnMetric = Callable[[Sequence[str], Sequence[Sequence[str]]], Sequence[float]]
"""f(answers, references) -> one finite number per answer, higher is better; each answer has its own references."""

SIGNATURE = "f(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Sequence[float]"


def own_metric(name: str) -> OwnMetric:
    """The function of `module:function`. Raises MetricError when it cannot be imported or called."""
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise MetricError(
            f"metric {name!r}: module {module!r} cannot be imported here ({error})",
            "install it in the trainer's environment, or put its folder on PYTHONPATH",
        ) from error
    except AttributeError as error:
        raise MetricError(f"metric {name!r}: module {module!r} has no {function!r}", f"define {SIGNATURE}") from error
    except Exception as error:
        raise MetricError(
            f"metric {name!r}: importing {module!r} failed ({type(error).__name__}: {error})", "mend the module"
        ) from error
    if not callable(found):
        raise MetricError(f"metric {name!r} is a {type(found).__name__}, not a function", f"define {SIGNATURE}")
    return found  # type: ignore[no-any-return]


def scored(name: str, answers: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """The client's own scores, checked: one finite number per answer. Raises MetricError."""
    function = own_metric(name)
    try:
        values = tuple(float(value) for value in function(answers, references))
    except Exception as error:
        raise MetricError(f"metric {name!r} failed: {_place(error)}", f"it is {SIGNATURE}") from error
    if len(values) != len(answers):
        raise MetricError(
            f"metric {name!r} returned {len(values)} values for {len(answers)} answers", "return one number per answer"
        )
    broken = [i for i, value in enumerate(values) if not math.isfinite(value)]
    if broken:
        raise MetricError(
            f"metric {name!r} returned {values[broken[0]]} for answer {broken[0]}, and {len(broken)} such in all",
            "return finite numbers only",
        )
    return values


def _place(error: Exception) -> str:
    """What kind of error, and where. Not its message, which may quote an answer: failures are told to the service."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"
