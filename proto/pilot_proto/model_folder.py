"""A base model's folder: which files make the model, their digest, and what stands in the headers of its weights."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_proto.canonical import file_digest
from pilot_proto.llava import NotLlava
from pilot_proto.tensors import LENGTH_BYTES, HeaderError, TensorSpec, header_length, parse_header

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
# What transformers reads; a README or a download cache beside it does not change the model.
_MODEL_FILES = (".json", ".safetensors", ".bin", ".model", ".jinja", ".txt")


@dataclass(frozen=True)
class StoredWeights:
    """What the weight files say of themselves; nothing is loaded."""

    tensors: dict[str, TensorSpec]
    num_bytes: int
    files: tuple[str, ...]
    absent: tuple[str, ...]
    """Files that the index names and the folder lacks."""
    damaged: tuple[str, ...]
    """What is wrong with files that are there."""


def read_config(folder: Path) -> Any:
    """`config.json`, decoded.

    Raises:
        NotLlava: it is missing, or no JSON object.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotLlava(f"it is no model folder: {CONFIG} cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise NotLlava(f"it is no model folder: {CONFIG} holds no JSON object")
    return config


def model_files(folder: Path) -> list[Path]:
    """The files that make the model, sorted."""
    return sorted(p for p in folder.rglob("*") if p.suffix in _MODEL_FILES and p.is_file() and not _hidden(p, folder))


def folder_digest(folder: Path, digest: Callable[[Path], str] = file_digest) -> str:
    """The digest of the names and bytes of the files that make the model."""
    whole = hashlib.sha256()
    for file in model_files(folder):
        whole.update(f"{file.relative_to(folder).as_posix()}\0{digest(file)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def stored_weights(folder: Path) -> StoredWeights:
    """The tensors of all weight files, by their names on disk."""
    files = _weight_files(folder)
    tensors: dict[str, TensorSpec] = {}
    damaged, num_bytes = [], 0
    absent = [name for name in files if not (folder / name).is_file()]
    for name in files:
        if name in absent:
            continue
        num_bytes += (folder / name).stat().st_size
        try:
            tensors |= _header(folder / name)
        except (HeaderError, OSError) as error:
            damaged.append(f"{name}: {error}")
    return StoredWeights(tensors, num_bytes, tuple(files), tuple(absent), tuple(damaged))


def _weight_files(folder: Path) -> list[str]:
    index = folder / INDEX
    if not index.is_file():
        return [WHOLE]
    try:
        return sorted({str(name) for name in json.loads(index.read_text())["weight_map"].values()})
    except (OSError, ValueError, KeyError, AttributeError):
        return [INDEX]


def _header(file: Path) -> dict[str, TensorSpec]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = header_length(stream.read(LENGTH_BYTES), size)
        return parse_header(stream.read(length), size).specs()
