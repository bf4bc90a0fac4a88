"""Text aggregation by the nearest clients. Pilot, arXiv:2501.13985, equations 11 and 12.

    w_{k,j} = (1/d_{k,j}) / sum_{i in K_m} 1/d_{k,i}          K_m: the M clients closest to k
    Theta_k <- n_k/N_k Theta_k + (share of the neighbours),   N_k = n_k + S,  S = sum_{j in K_m} n_j

The numerator of the neighbours' share is unreadable in the paper, so the reading is an option (`combine`):

    convex          S/N_k * w_{k,j}                              sums to one; the default
    literal         n_j/N_k * w_{k,j}                            sums to less: shrinks the adapter every round
    literal-renorm  literal, divided by its sum (with n_k/N_k)   sums to one; self weight 1/2 for equal n
    size-distance   S/N_k * (n_j/d_{k,j}) / sum_i n_i/d_{k,i}    sums to one; equals convex for equal n
    fedavg-topm     n_j/N_k                                      sums to one; no distance, an ablation

Deviations, where the paper is silent: M >= K-1 takes all others; M = 0 is the identity; ties in d go to the lower
index in sorted order; neighbours at distance zero share the whole weight (the limit); d is floored at 1e-8 of the
median of k's distances; no w_{k,j} exceeds `weight_cap`, and what it loses goes to the others in proportion, because
with 1/d a client that copies another would otherwise take that client's whole neighbourhood.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pilot_aggregator.merge.mixture import Member, Mixture, Row
from pilot_aggregator.merge.rules.rule import Distances, Options, Rule, Scope, normalised

EPS_REL = 1e-8


@dataclass(frozen=True)
class Neighbourhood:
    """Client k and its K_m: sample counts, and the closeness of each neighbour (proportional to 1/d)."""

    n_k: int
    n_m: tuple[int, ...]
    closeness_m: Row
    weight_cap: float

    @property
    def N_k(self) -> int:
        return self.n_k + sum(self.n_m)

    def share(self, weights: Row) -> Row:
        """S/N_k split over the neighbours by weights that sum to one."""
        return tuple(sum(self.n_m) / self.N_k * weight for weight in weights)


def nearest(members: Sequence[Member], distances: Distances | None, options: Options) -> Mixture:
    """One output per client.

    Options: `neighbours` M (default: all), `combine` (see above), `weight_cap` in (0, 1].

    Raises:
        ValueError: for an option outside its range.
    """
    assert distances is not None, "the rule declares that it needs distances"
    names = tuple(member.name for member in members)
    combine = _combine(str(options.get("combine", "convex")))
    weight_cap = _weight_cap(float(options.get("weight_cap", 1.0)))
    m = _neighbours(options.get("neighbours", len(members) - 1))
    rows = []
    for k in range(len(members)):
        neighbours_m = closest(distances[k], k, m)
        row = [0.0] * len(members)
        row[k], share_m = combine(_neighbourhood(members, distances[k], k, neighbours_m, weight_cap))
        for j, share in zip(neighbours_m, share_m, strict=True):
            row[j] = share
        rows.append(tuple(row))
    return Mixture(names, names, tuple(rows), row_sums_to_one=combine is not literal)


def closest(distances_K: Sequence[float], k: int, m: int) -> tuple[int, ...]:
    """The indices of the m smallest distances without k itself, closest first, ties to the lower index."""
    others = [i for i in range(len(distances_K)) if i != k]
    return tuple(sorted(others, key=lambda i: (distances_K[i], i))[:m])


def closeness(distances_m: Row, floor: float) -> Row:
    """Proportional to 1/d, the closest at 1, so that nothing overflows; with a d of zero, 1 there and 0 elsewhere."""
    if 0.0 in distances_m:
        return tuple(float(d == 0.0) for d in distances_m)
    floored_m = [max(d, floor) for d in distances_m]
    return tuple(min(floored_m) / d for d in floored_m)


def capped(weights_m: Row, cap: float) -> Row:
    """Weights that sum to one with none above `cap`; the excess goes to the others in proportion.

    A cap below 1/m cannot hold for m weights that sum to one: it then means equal weights.
    """
    m = len(weights_m)
    if m == 0 or cap * m <= 1.0:
        return (1.0 / m,) * m if m else ()
    at_cap: set[int] = set()
    while True:
        rest = sum(weights_m[j] for j in range(m) if j not in at_cap)
        room = 1.0 - cap * len(at_cap)
        scaled = [cap if j in at_cap else _scaled(weights_m[j], rest, room, m - len(at_cap)) for j in range(m)]
        above = {j for j in range(m) if j not in at_cap and scaled[j] > cap}
        if not above:
            return tuple(scaled)
        at_cap |= above


def convex(hood: Neighbourhood) -> tuple[float, Row]:
    return hood.n_k / hood.N_k, hood.share(_weights(hood.closeness_m, hood.weight_cap))


def literal(hood: Neighbourhood) -> tuple[float, Row]:
    weights_m = _weights(hood.closeness_m, hood.weight_cap)
    return hood.n_k / hood.N_k, tuple(n / hood.N_k * w for n, w in zip(hood.n_m, weights_m, strict=True))


def literal_renorm(hood: Neighbourhood) -> tuple[float, Row]:
    own, *others = normalised([literal(hood)[0], *literal(hood)[1]])
    return own, tuple(others)


def size_distance(hood: Neighbourhood) -> tuple[float, Row]:
    sized_m = tuple(n * c for n, c in zip(hood.n_m, hood.closeness_m, strict=True))
    return hood.n_k / hood.N_k, hood.share(_weights(sized_m, hood.weight_cap))


def fedavg_topm(hood: Neighbourhood) -> tuple[float, Row]:
    return hood.n_k / hood.N_k, hood.share(_weights(tuple(float(n) for n in hood.n_m), hood.weight_cap))


COMBINE: Mapping[str, Callable[[Neighbourhood], tuple[float, Row]]] = {
    "convex": convex,
    "literal": literal,
    "literal-renorm": literal_renorm,
    "size-distance": size_distance,
    "fedavg-topm": fedavg_topm,
}


def _neighbourhood(
    members: Sequence[Member], distances_K: Sequence[float], k: int, neighbours_m: tuple[int, ...], cap: float
) -> Neighbourhood:
    others = [d for i, d in enumerate(distances_K) if i != k]
    floor = EPS_REL * median(others) if others else 0.0
    return Neighbourhood(
        n_k=members[k].samples,
        n_m=tuple(members[j].samples for j in neighbours_m),
        closeness_m=closeness(tuple(distances_K[j] for j in neighbours_m), floor),
        weight_cap=cap,
    )


def _weights(raw_m: Row, cap: float) -> Row:
    return capped(normalised(raw_m), cap) if raw_m else ()


def _scaled(weight: float, rest: float, room: float, count: int) -> float:
    # Where everything left has weight zero there is no proportion to keep: equal shares.
    return weight / rest * room if rest > 0.0 else room / count


def _combine(name: str) -> Callable[[Neighbourhood], tuple[float, Row]]:
    if name not in COMBINE:
        raise ValueError(f"combine {name!r} is unknown; choose one of {', '.join(COMBINE)}")
    return COMBINE[name]


def _neighbours(m: object) -> int:
    if not isinstance(m, int) or m < 0:
        raise ValueError(f"neighbours {m!r} is not a count; give 0 or more")
    return m


def _weight_cap(cap: float) -> float:
    if not 0.0 < cap <= 1.0:
        raise ValueError(f"weight_cap {cap!r} is outside (0, 1]")
    return cap


RULE = Rule(
    "nearest",
    Scope.CLIENT,
    nearest,
    needs_distances=True,
    reads=frozenset({"neighbours", "metric", "combine", "weight_cap"}),
)
