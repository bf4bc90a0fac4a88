"""The battery of hostile files: 27 ways in which a safetensors file can be wrong, each built from a good one.

Fourteen are refused by the safetensors library too; thirteen it accepts, so they are ours to refuse. `code` is what
the header alone is refused with (None: nothing is wrong with it), `admission` what an upload of it is answered with
(None: admitted; an outsized norm is for the aggregator's gate to flag).
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pilot_proto.tensors import Header, header_length, parse_header

GOOD = {"a.weight": np.arange(12, dtype="<f4").reshape(4, 3), "b.bias": np.ones(5, dtype="<f4")}
BODY = b"".join(array.tobytes() for array in GOOD.values())


@dataclass(frozen=True)
class Hostile:
    name: str
    make: Callable[[], bytes]
    code: str | None
    admission: str | None
    library_accepts: bool


def read_header(file: bytes) -> Header:
    """A whole file through the two steps that read a header."""
    length = header_length(file[:8], len(file))
    return parse_header(file[8 : 8 + length], len(file))


def file(header: bytes, body: bytes = BODY) -> bytes:
    return struct.pack("<Q", len(header)) + header + body


def entries() -> dict[str, dict]:
    return {
        "a.weight": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]},
        "b.bias": {"dtype": "F32", "shape": [5], "data_offsets": [48, 68]},
    }


def good() -> bytes:
    return file(json.dumps(entries()).encode())


def changed(name: str, **fields: object) -> bytes:
    known = entries()
    known[name].update(fields)
    return file(json.dumps(known).encode())


def extended(name: str, entry: object, body: bytes = b"") -> bytes:
    return file(json.dumps({**entries(), name: entry}).encode(), BODY + body)


def filled(value: float) -> bytes:
    return file(json.dumps(entries()).encode(), BODY[:-4] + struct.pack("<f", value))


def twice() -> bytes:
    entry = json.dumps(entries()["b.bias"])
    return file(json.dumps(entries()).encode()[:-1] + b', "b.bias": ' + entry.encode() + b"}")


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [68, 72]}
EMPTY = {"dtype": "F32", "shape": [0], "data_offsets": [48, 48]}

BATTERY = (
    Hostile("empty", lambda: b"", "corrupt", "corrupt", False),
    Hostile("seven bytes", lambda: good()[:7], "corrupt", "corrupt", False),
    Hostile("header length 2^63", lambda: struct.pack("<Q", 1 << 63) + good()[8:], "corrupt", "corrupt", False),
    Hostile("header longer than the file", lambda: struct.pack("<Q", 10_000) + good()[8:], "corrupt", "corrupt", False),
    Hostile("not JSON", lambda: file(b"{'a': 1}"), "bad_header", "bad_header", False),
    Hostile("a JSON array", lambda: file(b"[1, 2, 3]"), "bad_header", "bad_header", False),
    Hostile("not UTF-8", lambda: file(b'{"\xff": 1}'), "bad_header", "bad_header", False),
    Hostile("trailing bytes", lambda: good() + b"\0", "corrupt", "corrupt", False),
    Hostile("a hole", lambda: changed("b.bias", data_offsets=[52, 72]) + b"\0" * 4, "corrupt", "corrupt", False),
    Hostile("overlapping tensors", lambda: changed("b.bias", data_offsets=[44, 64]), "corrupt", "corrupt", False),
    Hostile("reversed offsets", lambda: changed("b.bias", data_offsets=[68, 48]), "corrupt", "corrupt", False),
    Hostile("a shape larger than its data", lambda: changed("b.bias", shape=[6]), "corrupt", "corrupt", False),
    Hostile("a shape that overflows", lambda: changed("b.bias", shape=[1 << 62, 1 << 62]), "corrupt", "corrupt", False),
    Hostile("a zip behind the tensors", lambda: good() + b"PK\x05\x06" + b"\0" * 18, "corrupt", "corrupt", False),
    Hostile("duplicate keys", twice, "bad_header", "bad_header", True),
    Hostile("an empty tensor at another's offset", lambda: extended("c", EMPTY), None, "schema_mismatch", True),
    Hostile("a name that climbs", lambda: extended("../../etc/passwd", ONE, b"\0" * 4), None, "schema_mismatch", True),
    Hostile("a name with markup", lambda: extended("<script>", ONE, b"\0" * 4), None, "schema_mismatch", True),
    Hostile("a name of 1 MB", lambda: extended("n" * 1_000_000, ONE, b"\0" * 4), None, "schema_mismatch", True),
    Hostile(
        "metadata of 5 MB",
        lambda: extended("__metadata__", {"note": "n" * 5_000_000}),
        "header_too_large",
        "header_too_large",
        True,
    ),
    Hostile("NaN", lambda: filled(float("nan")), None, "non_finite", True),
    Hostile("infinity", lambda: filled(float("inf")), None, "non_finite", True),
    Hostile("a norm of 1e38", lambda: filled(1e38), None, None, True),
    Hostile("another shape", lambda: changed("a.weight", shape=[3, 4]), None, "schema_mismatch", True),
    Hostile("one tensor more", lambda: extended("c", ONE, b"\0" * 4), None, "schema_mismatch", True),
    Hostile(
        "integers",
        lambda: changed("a.weight", dtype="I64", shape=[2, 3]),
        None,
        "schema_mismatch",
        True,
    ),
    Hostile("no tensors", lambda: file(b"{}", b""), None, "schema_mismatch", True),
)
