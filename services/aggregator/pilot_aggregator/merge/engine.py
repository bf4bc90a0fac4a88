"""Mixtures of files: all outputs in one pass over the inputs.

While one block is hashed and written by a second thread, the next is read and mixed; numpy, hashing and input/output
all release the interpreter lock. Blocks are independent and written in order, so threads cannot change a bit.

A rule that is no mixture (a `PerGroup` rule: median, product-space SVD, server optimisers with state) gets its own
pass beside `mix`, made of the same parts: `Inputs.blocks` when it is elementwise, `Inputs.whole` for a group such as
an (A, B) pair, and the same sinks.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

import numpy as np
from pilot_disk.files import sync_folder
from pilot_proto.boundaries import Boundary, reached

from pilot_aggregator.merge import mixing
from pilot_aggregator.merge.dtypes import F32
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.layout import Layout, common_layout
from pilot_aggregator.merge.mixture import Mixture
from pilot_aggregator.merge.reader import BLOCK, Buffers, Inputs, block_for
from pilot_aggregator.merge.writer import FileSink, HashOnly, Sink, Written, header_bytes

IN_FLIGHT = 3
"""Blocks of outputs in memory: one is filled while the others wait for the writer."""


def mix(
    inputs: Mapping[str, Path],
    outputs: Mapping[str, Path],
    mixture: Mixture,
    *,
    reference: str | None = None,
    block: int = BLOCK,
) -> dict[str, Written]:
    """Write every output of a mixture, durably. Either all outputs are there at the end, or none.

    Args:
        inputs: the mixture's inputs: safetensors files with the same tensors, in F32, F16 or BF16.
        outputs: where each of the mixture's outputs goes; F32, in existing folders.
        reference: the input whose tensor order and metadata the outputs take; by default the first by name.
        block: numbers of each input that are held at a time. The bytes of the outputs do not depend on it.

    Raises:
        MergeRefused: tensors that do not match, or a number that is not finite. No output is written.
        OSError: the outputs cannot be written.
    """
    assert set(outputs) == set(mixture.outputs), "a path for every output"
    with ExitStack() as sinks:
        opened = [FileSink(outputs[name]) for name in mixture.outputs]
        for sink in opened:
            sinks.callback(sink.discard)
        written = _mix_into(inputs, mixture, opened, reference, block)
        for sink in opened:
            sink.commit()
    for directory in sorted({path.parent for path in outputs.values()}):
        sync_folder(directory)
    return written


def digests(
    inputs: Mapping[str, Path], mixture: Mixture, *, reference: str | None = None, block: int = BLOCK
) -> dict[str, Written]:
    """What `mix` would write, without writing it.

    Raises:
        MergeRefused: as `mix` does.
    """
    return _mix_into(inputs, mixture, [HashOnly() for _ in mixture.outputs], reference, block)


def _mix_into(
    paths: Mapping[str, Path], mixture: Mixture, sinks: Sequence[Sink], reference: str | None, block: int
) -> dict[str, Written]:
    assert set(paths) == set(mixture.inputs), "a path for every input"
    with Inputs(paths) as inputs, ThreadPoolExecutor(1, "merge-writer") as writer:
        layout = common_layout(inputs.headers, reference or inputs.names[0])
        header = memoryview(header_bytes(layout))
        for sink in sinks:
            sink.write(header)
        _pump(_mixed(inputs, layout, mixture, block), sinks, writer)
    with ThreadPoolExecutor(2, "merge-sync") as syncer:
        return dict(zip(mixture.outputs, syncer.map(_sync, sinks), strict=True))


def _mixed(inputs: Inputs, layout: Layout, mixture: Mixture, block: int) -> Iterator[F32]:
    """Blocks y_Jn of all outputs, in the order of the file. Each is valid until IN_FLIGHT more have been asked for."""
    block = block_for(max(len(inputs.files), len(mixture.outputs)), block)
    block = min(block, max((tensor.numbers for tensor in layout.tensors), default=1))
    buffers = Buffers.of(len(inputs.files), block)
    terms_J = mixing.terms_of(mixture.coefficients)
    slots = cycle([np.empty((len(terms_J), block), np.float32) for _ in range(IN_FLIGHT)])
    sum_n, product_n = np.empty(block), np.empty(block)
    for position, tensor in enumerate(layout.tensors):
        if position == len(layout.tensors) // 2:
            reached(Boundary.MERGE_HALF_WRITTEN)
        for x_Kn in inputs.blocks(tensor.name, buffers):
            n = x_Kn.shape[1]
            y_Jn = next(slots)[:, :n]
            mixing.mix(x_Kn, terms_J, y_Jn, sum_n[:n], product_n[:n])
            _refuse_overflow(tensor.name, mixture, y_Jn)
            yield y_Jn


def _pump(blocks: Iterator[F32], sinks: Sequence[Sink], writer: ThreadPoolExecutor) -> None:
    waiting: deque[Future[None]] = deque()
    for y_Jn in blocks:
        waiting.append(writer.submit(_write, y_Jn, sinks))
        if len(waiting) == IN_FLIGHT:
            waiting.popleft().result()
    for future in waiting:
        future.result()


def _write(y_Jn: F32, sinks: Sequence[Sink]) -> None:
    for y_n, sink in zip(y_Jn, sinks, strict=True):
        sink.write(y_n.data)


def _sync(sink: Sink) -> Written:
    return sink.sync()


def _refuse_overflow(tensor: str, mixture: Mixture, y_Jn: F32) -> None:
    finite_J = np.isfinite(y_Jn).all(axis=1)
    if not finite_J.all():
        output = mixture.outputs[int(np.argmin(finite_J))]
        raise MergeRefused(f"output {output!r}: tensor {tensor!r} exceeds the range of F32; check the coefficients")
