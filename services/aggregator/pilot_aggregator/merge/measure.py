"""Distances between adapters in files, and how far each has moved from what its client was given.

Tensors are measured by several threads and added up in sorted order, so the result depends on the files' contents only.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from pilot_aggregator.merge.distances import add_pairs, product_squared, squared_norm, symmetric_root
from pilot_aggregator.merge.dtypes import F64
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.layout import common_layout
from pilot_aggregator.merge.reader import BLOCK, Buffers, Inputs, block_for
from pilot_aggregator.merge.threads import THREADS, in_order, threads_for

METRICS = ("euclidean", "euclidean-delta", "product")
BASE = "(the base)"


@dataclass(frozen=True)
class Measured:
    """Inputs x inputs distances in sorted order of the names; symmetric, diagonal zero."""

    metric: str
    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]

    def among(self, names: Iterable[str]) -> "Measured":
        """The distances between some of them."""
        place = {name: i for i, name in enumerate(self.names)}
        index = [place[name] for name in sorted(names)]
        rows = tuple(tuple(self.matrix[i][j] for j in index) for i in index)
        return Measured(self.metric, tuple(self.names[i] for i in index), rows)


@dataclass(frozen=True)
class _Squares:
    """Of one tensor: squared distances of pairs (upper triangle), and squared changes from the base."""

    pairs_KK: F64
    changes_K: F64


def measure(inputs: Mapping[str, Path], metric: str, *, base: Path | None = None, scaling: float = 1.0) -> Measured:
    """Measure all pairs of inputs, see `distances_of`."""
    names, distance_KK = distances_of(inputs, metric, base=base, scaling=scaling)
    return Measured(metric, names, as_rows(distance_KK))


def distances_of(
    inputs: Mapping[str, Path], metric: str, *, base: Path | None = None, scaling: float = 1.0
) -> tuple[tuple[str, ...], F64]:
    """The inputs' names, sorted, and the distances of all pairs: symmetric, diagonal zero.

    Args:
        metric: `euclidean`, `euclidean-delta` (needs `base`) or `product` (LoRA factors only), see `distances`.
        base: what every input started from, for `euclidean-delta`.
        scaling: lora_alpha / r, for `product`; a common factor, so it changes no neighbour and no weight.

    Raises:
        MergeRefused: inputs that do not match, numbers that are not finite, or a metric that does not fit them.
    """
    _refuse_metric(metric, base)
    with ExitStack() as opened:
        files = opened.enter_context(Inputs(inputs))
        base_file = opened.enter_context(Inputs({BASE: base})) if base else None
        common_layout({**files.headers, **(base_file.headers if base_file else {})}, files.names[0])
        tensors = sorted(files.files[0].spans)
        if metric == "product":
            squared_KK = _product(files, tensors, scaling)
        else:
            threads = threads_for(inputs.values())
            squared_KK = _combined(_elementwise(files, base_file, tensors, threads), metric, len(files.files))
    return files.names, symmetric_root(squared_KK)


def as_rows(distance_KK: F64) -> tuple[tuple[float, ...], ...]:
    """Distances as documents have them."""
    return tuple(map(tuple, distance_KK.tolist()))


def change_norms(inputs: Mapping[str, Path], given: Mapping[str, Path]) -> dict[str, float]:
    """The euclidean distance of each input from what its client was given, which may differ from client to client.

    Raises:
        MergeRefused: tensors that do not match, or a number that is not finite.
    """
    assert set(given) == set(inputs), "what every client was given"
    threads, buffers = threads_for(inputs.values()), SimpleQueue[Buffers]()
    for _ in range(threads):
        buffers.put(Buffers.of(2, block_for(2)))

    def norm(name: str) -> float:
        own = buffers.get()
        try:
            return _apart({name: inputs[name], f"(what {name} was given)": given[name]}, own)
        finally:
            buffers.put(own)

    # Pairs side by side, and not the tensors of each: there may be a thousand small ones.
    names = sorted(inputs)
    return dict(zip(names, in_order(norm, names, threads), strict=True))


def mean_to_peers(names: Sequence[str], distance_KK: F64, tasks: Mapping[str, str]) -> dict[str, float]:
    """The mean distance of each input to the others of its task, if it has any."""
    crowds: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        crowds.setdefault(tasks[name], []).append(i)
    found: dict[str, float] = {}
    for members in crowds.values():
        if len(members) > 1:
            # Its distance to itself, which is zero, adds nothing.
            sums = np.add.reduce(np.ascontiguousarray(distance_KK[np.ix_(members, members)]), axis=1)
            found |= {names[i]: total / (len(members) - 1) for i, total in zip(members, sums.tolist(), strict=True)}
    return found


def _apart(pair: Mapping[str, Path], buffers: Buffers) -> float:
    with Inputs(pair) as files:
        common_layout(files.headers, files.names[0])
        squared = 0.0
        for tensor in sorted(files.files[0].spans):
            blocks = files.blocks(tensor, buffers)
            squared += sum(squared_norm(np.subtract(one_n, other_n, out=one_n)) for one_n, other_n in blocks)
        return sqrt(squared)


def _refuse_metric(metric: str, base: Path | None) -> None:
    if metric not in METRICS:
        raise MergeRefused(f"metric {metric!r} is unknown; choose one of {', '.join(METRICS)}")
    if metric == "euclidean-delta" and base is None:
        raise MergeRefused(
            "metric 'euclidean-delta' measures changes from a base adapter: give the base, or another metric"
        )


def _elementwise(files: Inputs, base: Inputs | None, tensors: Sequence[str], threads: int) -> Iterator[_Squares]:
    block = block_for(len(files.files))
    buffers: SimpleQueue[tuple[Buffers, Buffers]] = SimpleQueue()
    for _ in range(threads):
        buffers.put((Buffers.of(len(files.files), block), Buffers.of(1, block)))

    def squares_of(tensor: str) -> _Squares:
        own = buffers.get()
        try:
            return _squares(files, base, tensor, *own)
        finally:
            buffers.put(own)

    return in_order(squares_of, tensors, threads)


def _squares(files: Inputs, base: Inputs | None, tensor: str, buffers: Buffers, base_buffers: Buffers) -> _Squares:
    K = len(files.files)
    found = _Squares(np.zeros((K, K)), np.zeros(K))
    scratch = np.empty(BLOCK)
    base_blocks = base.blocks(tensor, base_buffers) if base else None
    for x_Kn in files.blocks(tensor, buffers):
        scratch_n = scratch[: x_Kn.shape[1]]
        add_pairs(x_Kn, scratch, found.pairs_KK)
        if base_blocks is None:
            continue
        (base_n,) = next(base_blocks)
        for k, x_n in enumerate(x_Kn):
            found.changes_K[k] += squared_norm(np.subtract(x_n, base_n, out=scratch_n))
    return found


def _combined(squares: Iterable[_Squares], metric: str, K: int) -> F64:
    total_KK = np.zeros((K, K))
    for tensor in squares:
        s_t = 1.0 if metric == "euclidean" else float(np.add.reduce(tensor.changes_K)) / K
        if s_t > 0.0:
            total_KK += tensor.pairs_KK / s_t
    return total_KK


def _product(files: Inputs, tensors: Sequence[str], scaling: float) -> F64:
    K = len(files.files)

    def module_squares(factors: tuple[str, str]) -> F64:
        squared_KK = np.zeros((K, K))
        for i in range(K - 1):
            A_i_rn, B_i_mr = (files.whole(i, factor) for factor in factors)
            for j in range(i + 1, K):
                squared_KK[i, j] = product_squared(A_i_rn, B_i_mr, *(files.whole(j, factor) for factor in factors))
        return squared_KK

    total_KK: F64 = sum(in_order(module_squares, _factors(tensors), THREADS), np.zeros((K, K)))
    return scaling**2 * total_KK


def _factors(tensors: Sequence[str]) -> list[tuple[str, str]]:
    """The (A, B) pairs of a LoRA adapter, by peft's names."""
    pairs = [(name, name.replace(".lora_A.", ".lora_B.")) for name in tensors if ".lora_A." in name]
    paired = {name for pair in pairs for name in pair}
    if unpaired := sorted(paired.symmetric_difference(tensors)):
        raise MergeRefused(
            f"metric 'product' compares LoRA products, but tensor {unpaired[0]!r} is no half of a lora_A, lora_B pair; "
            "use metric 'euclidean'"
        )
    return pairs
