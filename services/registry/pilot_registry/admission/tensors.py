"""Reading an adapter's file piece by piece: its header, then its values, never the whole."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pilot_proto.tensors import LENGTH_BYTES, Header, HeaderError, header_length, parse_header

from pilot_registry.errors import Refused
from pilot_registry.store.port import Reader

CHUNK_BYTES = 1 << 18
"""So that a chunk and its float64 copy stay in the processor's cache; a multiple of every dtype's size."""


def read_header(reader: Reader, size: int) -> Header:
    """The strictly parsed header of a file of `size` bytes.

    Raises:
        Refused: with the code of the rule that it breaks.
    """
    try:
        length = header_length(reader.read_at(0, LENGTH_BYTES), size)
        return parse_header(reader.read_at(LENGTH_BYTES, length), size)
    except HeaderError as error:
        raise Refused(error.code, str(error)) from error
    except ValueError as error:
        # Numbers of more digits than Python converts are no JSON that anybody meant.
        raise Refused("bad_header", f"the header holds a number that cannot be read: {error}") from error


def float_chunks(reader: Reader, begin: int, end: int) -> Iterator[NDArray[np.float32]]:
    """The F32 values between two bytes of a file, in order."""
    for position in range(begin, end, CHUNK_BYTES):
        yield np.frombuffer(reader.read_at(position, min(CHUNK_BYTES, end - position)), dtype="<f4")
