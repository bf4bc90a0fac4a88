"""Whether a published merge is what its plan says: recompute from the stored coefficients, and compare.

The coefficients are taken as they are stored, because they decide the bytes. The distances that led to them are
measured again and may differ by rounding only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilot_aggregator.merge.engine import digests
from pilot_aggregator.merge.measure import Measured, measure
from pilot_aggregator.merge.mixture import Mixture

RELATIVE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Claim:
    """What was published: the digest of each output's file, and the distances if the plan has any."""

    digests: Mapping[str, str]
    distances: Measured | None = None


@dataclass(frozen=True)
class Report:
    """What came of recomputing."""

    missing: tuple[str, ...] = ()
    """Inputs that are no longer there; nothing was recomputed then."""
    identical: Mapping[str, bool] | None = None
    """Output to whether the recomputed bytes are the published ones."""
    distance_error: float | None = None
    """The largest relative difference between a stored and a measured distance."""

    @property
    def passed(self) -> bool:
        return (
            not self.missing
            and all((self.identical or {}).values())
            and (self.distance_error or 0.0) <= RELATIVE_TOLERANCE
        )


def verify(
    inputs: Mapping[str, Path],
    mixture: Mixture,
    claim: Claim,
    *,
    reference: str | None = None,
    base: Path | None = None,
    scaling: float = 1.0,
) -> Report:
    """Recompute a merge without writing it.

    Args:
        inputs: the mixture's inputs, as far as they are still there; their own digests are the caller's to check.
        base, scaling: as they were given to `measure`.

    Raises:
        MergeRefused: the inputs cannot be merged, so they are not those of the plan.
    """
    missing = tuple(name for name in mixture.inputs if name not in inputs or not inputs[name].is_file())
    if missing:
        return Report(missing=missing)
    found = digests(inputs, mixture, reference=reference)
    identical = {name: found[name].digest == claim.digests.get(name) for name in mixture.outputs}
    if claim.distances is None:
        return Report(identical=identical)
    measured = measure(inputs, claim.distances.metric, base=base, scaling=scaling)
    return Report(identical=identical, distance_error=_largest_error(claim.distances, measured))


def _largest_error(stored: Measured, measured: Measured) -> float:
    assert stored.names == measured.names, "distances are stored in sorted order of the inputs"
    pairs = [
        (one, other)
        for stored_row, row in zip(stored.matrix, measured.matrix, strict=True)
        for one, other in zip(stored_row, row, strict=True)
    ]
    return max((abs(one - other) / max(abs(one), abs(other)) for one, other in pairs if one != other), default=0.0)
