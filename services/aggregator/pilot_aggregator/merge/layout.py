"""Whether files can be merged: the same tensors in the same shapes, in a precision that we read."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pilot_proto.tensors import Header

from pilot_aggregator.merge.dtypes import OUTPUT_BYTES, OUTPUT_DTYPE, WIDTH
from pilot_aggregator.merge.errors import MergeRefused


@dataclass(frozen=True)
class OutputTensor:
    """One tensor of every output."""

    name: str
    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)

    @property
    def entry(self) -> dict[str, object]:
        """Dtype and shape as a safetensors header writes them."""
        return {"dtype": OUTPUT_DTYPE, "shape": list(self.shape)}

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self.numbers * OUTPUT_BYTES


@dataclass(frozen=True)
class Layout:
    """What every output looks like: the reference's tensors in its order, and its metadata."""

    tensors: tuple[OutputTensor, ...]
    metadata: Mapping[str, str]


def common_layout(headers: Mapping[str, Header], reference: str) -> Layout:
    """The layout that all inputs share, in the order of the input `reference`.

    Raises:
        MergeRefused: naming the input and the tensor that does not match.
    """
    expected = _shapes(headers[reference])
    seen: set[int] = set()
    for name in sorted(headers):
        if id(headers[name]) in seen:
            continue  # Files of one layout share the header, see `reader`.
        seen.add(id(headers[name]))
        found = _shapes(headers[name])
        _refuse_names(name, reference, missing=expected.keys() - found.keys(), extra=found.keys() - expected.keys())
        for tensor, shape in sorted(found.items()):
            if shape != expected[tensor]:
                raise MergeRefused(
                    f"tensor {tensor!r} has shape {list(shape)} in {name!r} and {list(expected[tensor])} in "
                    f"{reference!r}; merge adapters of one rank and one base model"
                )
        _refuse_dtypes(name, headers[name])
    tensors = tuple(OutputTensor(span.name, span.shape) for span in headers[reference].tensors)
    return Layout(tensors, headers[reference].metadata)


def _shapes(header: Header) -> dict[str, tuple[int, ...]]:
    return {span.name: span.shape for span in header.tensors}


def _refuse_names(name: str, reference: str, *, missing: Iterable[str], extra: Iterable[str]) -> None:
    for words, tensors in (("lacks", missing), ("has the additional", extra)):
        if first := min(tensors, default=None):
            raise MergeRefused(
                f"{name!r} {words} tensor {first!r}, unlike {reference!r}; "
                "merge adapters with the same target modules of one base model"
            )


def _refuse_dtypes(name: str, header: Header) -> None:
    for span in header.tensors:
        if span.dtype not in WIDTH:
            raise MergeRefused(
                f"tensor {span.name!r} of {name!r} is {span.dtype}; only {', '.join(WIDTH)} can be merged: convert it"
            )
