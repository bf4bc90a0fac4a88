"""Safetensors files read in blocks: `pread` into fixed buffers, all inputs side by side.

Memory is the buffers: it depends neither on the size of the files nor, with a budget, on their number.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from pilot_proto.tensors import LENGTH_BYTES, Header, HeaderError, TensorSpan, header_length, parse_header

from pilot_aggregator.merge.dtypes import F64, WIDTH, Bytes, widen
from pilot_aggregator.merge.errors import MergeRefused

BLOCK = 32768
"""Numbers per input and block: nine float64 blocks fit the second-level cache, and a call costs less than its work."""
SMALLEST_BLOCK = 1024
HEADERS = 8
"""Different ones that are remembered."""
BUDGET = 64 * BLOCK
"""Numbers that all rows together hold at a time: with more than 64, blocks become smaller."""


def block_for(rows: int, block: int = BLOCK) -> int:
    """How many numbers of each of so many inputs and outputs are held at a time."""
    return min(block, max(SMALLEST_BLOCK, BUDGET // max(rows, 1)))


class TensorFile:
    """One open safetensors file."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise MergeRefused(f"input {name!r} cannot be read: {error.strerror}: {path}") from error
        try:
            self.header, self.spans = _read_header(self._fd)
        except HeaderError as error:
            self.close()
            raise MergeRefused(f"input {name!r} is no sound safetensors file: {error} ({path})") from error

    def close(self) -> None:
        os.close(self._fd)

    def read(self, tensor: str, start: int, out_n: F64, raw: Bytes) -> None:
        """Fill out_n with the numbers of a tensor from index `start` on; `raw` is scratch."""
        span = self.spans[tensor]
        width = WIDTH[span.dtype]
        wanted = raw[: len(out_n) * width]
        _pread_all(self._fd, wanted.data, span.begin + start * width, self.name)
        widen(wanted, span.dtype, out_n)


@dataclass(frozen=True)
class Buffers:
    """What one thread needs to read blocks of K inputs."""

    x_Kn: F64
    raw: Bytes
    finite_Kn: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

    @classmethod
    def of(cls, inputs: int, block: int) -> Self:
        shape = (inputs, block)
        return cls(np.empty(shape), np.empty(block * 4, np.uint8), np.empty(shape, np.bool_))


class Inputs:
    """All inputs of a merge, open, in sorted order."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        with ExitStack() as opened:
            self.files: list[TensorFile] = []
            for name in sorted(paths):
                self.files.append(TensorFile(name, paths[name]))
                opened.callback(self.files[-1].close)
            self._opened = opened.pop_all()

    @property
    def headers(self) -> dict[str, Header]:
        return {file.name: file.header for file in self.files}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(file.name for file in self.files)

    def blocks(self, tensor: str, buffers: Buffers) -> Iterator[F64]:
        """Blocks x_Kn of one tensor, in order. Each is valid until the next is asked for.

        Raises:
            MergeRefused: for a number that is not finite, naming the input and the tensor.
        """
        numbers = _numbers(self.files[0].spans[tensor])
        block = buffers.x_Kn.shape[1]
        for start in range(0, numbers, block):
            x_Kn = buffers.x_Kn[:, : min(block, numbers - start)]
            for file, x_n in zip(self.files, x_Kn, strict=True):
                file.read(tensor, start, x_n, buffers.raw)
            self._refuse_non_finite(tensor, start, x_Kn, buffers.finite_Kn[:, : x_Kn.shape[1]])
            yield x_Kn

    def whole(self, index: int, tensor: str) -> F64:
        """One tensor of one input, in its shape; for what works on groups of tensors instead of on blocks."""
        file = self.files[index]
        out = np.empty(file.spans[tensor].shape)
        file.read(tensor, 0, out.reshape(-1), np.empty(out.size * 4, np.uint8))
        if not np.isfinite(out).all():
            raise _non_finite(file.name, tensor, int(np.argmin(np.isfinite(out))))
        return out

    def _refuse_non_finite(
        self, tensor: str, start: int, x_Kn: F64, finite_Kn: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    ) -> None:
        if np.isfinite(x_Kn, out=finite_Kn).all():
            return
        index = int(np.argmin(finite_Kn.all(axis=1)))
        raise _non_finite(self.files[index].name, tensor, start + int(np.argmin(finite_Kn[index])))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()


def _numbers(span: TensorSpan) -> int:
    return (span.end - span.begin) // WIDTH[span.dtype]


def _read_header(fd: int) -> tuple[Header, Mapping[str, TensorSpan]]:
    size = os.fstat(fd).st_size
    length = header_length(os.pread(fd, LENGTH_BYTES, 0), size)
    return _parsed(os.pread(fd, length, LENGTH_BYTES), size)


@lru_cache(maxsize=HEADERS)
def _parsed(header: bytes, size: int) -> tuple[Header, Mapping[str, TensorSpan]]:
    """Files of one layout have the same header to the byte, and there may be a thousand of them."""
    parsed = parse_header(header, size)
    return parsed, {span.name: span for span in parsed.tensors}


def _pread_all(fd: int, into: memoryview, offset: int, name: str) -> None:
    done = 0
    while done < len(into):
        got = os.preadv(fd, [into[done:]], offset + done)
        if got == 0:
            raise MergeRefused(f"input {name!r} ended early: it changed while it was being read; start again")
        done += got


def _non_finite(name: str, tensor: str, index: int) -> MergeRefused:
    return MergeRefused(
        f"input {name!r}: tensor {tensor!r} holds a number that is not finite (at index {index}); "
        "leave this input out, or train it again"
    )
