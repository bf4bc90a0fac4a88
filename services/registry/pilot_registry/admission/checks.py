"""The admission checks that need no I/O: values in, `Refused` or nothing out."""

import json
from collections.abc import Mapping
from typing import Any

from pilot_proto.grant import Grant
from pilot_proto.tensors import DTYPE_BYTES, Header, TensorSpec

from pilot_registry.errors import Refused

MAX_UPDATE_BYTES = 4 << 20
"""update.json and other small files, where the grant sets no limit."""
MAX_FIRST_BYTES = 4 << 30
"""An adapter of round 0, which has no schema to derive a limit from."""
WIRE_DTYPE = "F32"


def check_kind(grant: Grant, kind: str) -> None:
    """The grant asks for this kind of file.

    Raises:
        Refused: `schema_mismatch`.
    """
    if kind != "update" and kind not in grant.kinds:
        wanted = ", ".join(grant.kinds) or "none"
        raise Refused("schema_mismatch", f"the grant asks for adapters of kind {wanted}, not {kind!r}")


def limit_of(grant: Grant, kind: str, schema: Mapping[str, TensorSpec] | None) -> int:
    """The largest file of a kind in bytes: the grant's word, else twice what the schema needs."""
    if kind in grant.max_bytes:
        return grant.max_bytes[kind]
    if kind == "update":
        return MAX_UPDATE_BYTES
    if schema is None:
        return MAX_FIRST_BYTES
    return 2 * sum(_bytes(spec) for spec in schema.values()) + (1 << 20)


def check_size(size: int, limit: int) -> None:
    """Raises Refused `too_large` (413)."""
    if size > limit:
        raise Refused("too_large", f"the file has at least {size} bytes; at most {limit} are allowed here", status=413)


def check_digest(found: str, declared: str) -> None:
    """Raises Refused `digest_mismatch`."""
    if found != declared:
        raise Refused(
            "digest_mismatch",
            f"the bytes received are {found}, but {declared} was declared",
            hint="the body was cut short or changed on its way; send it again",
        )


def check_schema(header: Header, schema: Mapping[str, TensorSpec] | None) -> None:
    """Names, shapes and dtypes are exactly the schema's; without a schema: at least one tensor, all F32.

    Raises:
        Refused: `schema_mismatch`, naming the first difference.
    """
    found = header.specs()
    for spec in header.tensors:
        if spec.dtype != WIRE_DTYPE:
            raise Refused(
                "schema_mismatch",
                f"tensor {_short(spec.name)} is {spec.dtype}; adapters travel as {WIRE_DTYPE}",
                hint="convert it before the upload",
            )
    if not found:
        raise Refused("schema_mismatch", "the file holds no tensor")
    if schema is not None:
        _compare(found, schema)


def check_json(raw: bytes) -> None:
    """The bytes are one JSON object without duplicate keys or non-finite numbers.

    Raises:
        Refused: `bad_document`.
    """
    try:
        parsed = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("bad_document", f"the file is not strict JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise Refused("bad_document", "the file is not a JSON object")


def _compare(found: Mapping[str, TensorSpec], schema: Mapping[str, TensorSpec]) -> None:
    missing, extra = sorted(schema.keys() - found.keys()), sorted(found.keys() - schema.keys())
    if missing:
        raise Refused("schema_mismatch", f"{len(missing)} tensors are missing, the first is {_short(missing[0])}")
    if extra:
        raise Refused("schema_mismatch", f"{len(extra)} tensors are not in the schema, the first is {_short(extra[0])}")
    for name, spec in schema.items():
        have = found[name]
        if have != spec:
            told = f"{have.dtype} {list(have.shape)}; the schema says {spec.dtype} {list(spec.shape)}"
            raise Refused("schema_mismatch", f"tensor {_short(name)} is {told}")


def _bytes(spec: TensorSpec) -> int:
    count = DTYPE_BYTES[spec.dtype]
    for size in spec.shape:
        count *= size
    return count


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {_short(key)} stands twice")
        found[key] = value
    return found


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _short(text: str) -> str:
    """Names come from strangers: quoted, and cut before they fill a log."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
