"""The header of a safetensors file, read strictly.

The format is 8 bytes of little-endian header length, a JSON header, and the tensors back to back. The library that
everyone uses is lenient where an aggregator must not be: it accepts duplicate keys and headers of 100 MB. This parser
is used before anything else touches an uploaded file, and by the merge, which never loads a file whole.
"""

import json
import math
from typing import Any

from pydantic import Field, ValidationError

from pilot_proto.base import Stored

DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
MAX_HEADER_BYTES = 1 << 20
MAX_METADATA_BYTES = 16 << 10
LENGTH_BYTES = 8


class HeaderError(ValueError):
    """The header is not acceptable; `code` says which rule it breaks."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TensorSpec(Stored):
    """One tensor: what an adapter schema fixes."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class TensorSpan(TensorSpec):
    """One tensor and where its bytes stand, counted from the start of the file."""

    begin: int
    end: int

    @property
    def spec(self) -> TensorSpec:
        """Name, dtype and shape without the place."""
        return TensorSpec(name=self.name, dtype=self.dtype, shape=self.shape)


class Header(Stored):
    """A parsed header. Tensors are in the order of their bytes."""

    tensors: tuple[TensorSpan, ...]
    metadata: dict[str, str] = Field(default_factory=dict)
    data_start: int

    def specs(self) -> dict[str, TensorSpec]:
        """Tensor name to dtype and shape: what every later file of the kind must match."""
        return {span.name: span.spec for span in self.tensors}


def header_length(prefix: bytes, file_size: int) -> int:
    """The length of the JSON header, from the first eight bytes of a file of `file_size` bytes.

    Raises:
        HeaderError: `corrupt` when the file is too short, `header_too_large` above 1 MiB.
    """
    if len(prefix) < LENGTH_BYTES:
        raise HeaderError("corrupt", f"the file has {file_size} bytes; a safetensors file has at least {LENGTH_BYTES}")
    length = int.from_bytes(prefix[:LENGTH_BYTES], "little")
    if length > file_size - LENGTH_BYTES:
        raise HeaderError(
            "corrupt", f"the header claims {length} bytes, but {file_size - LENGTH_BYTES} follow; truncated?"
        )
    if length > MAX_HEADER_BYTES:
        raise HeaderError("header_too_large", f"the header has {length} bytes; at most {MAX_HEADER_BYTES} are allowed")
    return length


def parse_header(header: bytes, file_size: int) -> Header:
    """Parse the JSON header of a file of `file_size` bytes (`header` is without the eight length bytes).

    Raises:
        HeaderError: `bad_header` for JSON that is not a strict safetensors header (duplicate keys included),
            `corrupt` when the tensors overlap, leave holes, do not fill the file or contradict their shapes.
    """
    entries = _strict_json(header)
    metadata = _metadata(entries.pop("__metadata__", {}))
    data_start = LENGTH_BYTES + len(header)
    spans = sorted((_span(name, entry, data_start) for name, entry in entries.items()), key=lambda s: (s.begin, s.end))
    _check_coverage(spans, data_start, file_size)
    return Header(tensors=tuple(spans), metadata=metadata, data_start=data_start)


def _strict_json(header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise HeaderError("bad_header", f"the key {_short(key)} stands twice in the header")
            found[_text(key)] = _text(value) if isinstance(value, str) else value
        return found

    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=unique)
    except HeaderError:
        raise
    # ValueError: what is not UTF-8 or not JSON, and an integer of more digits than Python converts.
    except (ValueError, RecursionError) as error:
        raise HeaderError("bad_header", f"the header is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise HeaderError("bad_header", "the header is not a JSON object")
    return parsed


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # JSON can spell half a character; nothing that stores or prints it could bear it.
        raise HeaderError("bad_header", f"{_short(text)} has an escape that is no character") from error
    return text


def _metadata(entry: Any) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise HeaderError("bad_header", "__metadata__ must map strings to strings")
    size = sum(len(key) + len(value) for key, value in entry.items())
    if size > MAX_METADATA_BYTES:
        raise HeaderError("bad_header", f"__metadata__ has {size} bytes; at most {MAX_METADATA_BYTES}")
    return entry


class _Entry(Stored):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def _span(name: str, entry: Any, data_start: int) -> TensorSpan:
    try:
        read = _Entry.model_validate_json(json.dumps(entry), strict=True, extra="forbid")
    except ValidationError as error:
        raise HeaderError("bad_header", f"tensor {_short(name)}: {error.errors()[0]['msg']}") from error
    if read.dtype not in DTYPE_BYTES:
        raise HeaderError("bad_header", f"tensor {_short(name)} has the unknown dtype {_short(read.dtype)}")
    begin, end = read.data_offsets
    expected = math.prod(read.shape) * DTYPE_BYTES[read.dtype]
    if min(read.shape, default=0) < 0 or begin < 0 or end - begin != expected:
        raise HeaderError("corrupt", f"tensor {_short(name)}: offsets {begin}..{end} do not fit its shape and dtype")
    return TensorSpan(name=name, dtype=read.dtype, shape=read.shape, begin=data_start + begin, end=data_start + end)


def _check_coverage(spans: list[TensorSpan], data_start: int, file_size: int) -> None:
    position = data_start
    for span in spans:
        if span.begin != position:
            raise HeaderError("corrupt", f"tensor {_short(span.name)} leaves a hole or overlaps another")
        position = span.end
    if position != file_size:
        raise HeaderError("corrupt", f"the tensors end at byte {position}, the file at {file_size}")


def _short(text: str) -> str:
    """Names come from strangers: quoted, and cut before they fill a log."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
