"""A client's folder: `dataset.yaml`, LLaVA JSON files, images."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pilot_proto.canonical import file_digest
from pilot_proto.dataset import Dataset, DatasetSpec, Split
from pilot_proto.problem import InvalidDocument, validated

from pilot_data.errors import DataError
from pilot_data.pictures import header_size
from pilot_data.records import BadRecord, RecordFault, Sample, parse_record, too_many

SplitName = Literal["train", "val", "test"]
_SHOWN = 5


@dataclass(frozen=True)
class Records:
    """The usable samples of a split, and the ones left out."""

    samples: tuple[Sample, ...]
    bad: tuple[BadRecord, ...]


def read_description(folder: Path) -> DatasetSpec:
    """What `dataset.yaml` of a data folder says. Raises DataError when it is missing or wrong."""
    return read_document(folder).spec


def read_document(folder: Path) -> Dataset:
    """The whole `dataset.yaml`. Raises DataError when it is missing or wrong."""
    file = folder / "dataset.yaml"
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        return validated(Dataset, document, "dataset")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, InvalidDocument) as error:
        raise DataError(f"{file}: {error}") from error


def read_split(folder: Path, spec: DatasetSpec, name: SplitName, limit: int | None = None) -> Records:
    """The samples of a split (the first `limit` records), in the file's order.

    Raises DataError when the split is missing, its JSON is broken, or more than one record in a hundred is bad.
    """
    split: Split | None = getattr(spec.splits, name)
    if split is None:
        raise DataError(f"{folder / 'dataset.yaml'} describes no split {name!r}")
    records = read_list(folder / split.file)[:limit]
    samples, bad = [], []
    frame = spec.box_frame if spec.metric == "iou" else None
    for index, raw in enumerate(records):
        try:
            samples.append(parse_record(raw, index, folder / split.images, frame, header_size))
        except RecordFault as fault:
            bad.append(BadRecord(split.file, index, str(fault)))
    refuse_too_many(bad, len(records))
    if not samples:
        raise DataError(f"{folder / split.file} holds no records")
    return Records(tuple(samples), tuple(bad))


def refuse_too_many(bad: list[BadRecord], num_records: int) -> None:
    """Raise DataError, naming the first few, when more than one record in a hundred is bad."""
    if too_many(len(bad), num_records):
        shown = "; ".join(str(record) for record in bad[:_SHOWN])
        more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(f"{len(bad)} of {num_records} records are bad, at most 1 in 100 may be: {shown}{more}")


def read_list(file: Path) -> list[Any]:
    """The decoded records of a LLaVA JSON file, in one piece. Raises DataError when it is not a JSON list."""
    try:
        records = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{file} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    if not isinstance(records, list):
        raise DataError(f"{file} must hold a list of records, not {type(records).__name__}")
    return records


def images_digest(images: Iterable[Path]) -> str:
    """The digest of images by their bytes, in the given order."""
    whole = hashlib.sha256()
    for image in images:
        whole.update(file_digest(image).encode())
    return f"sha256:{whole.hexdigest()}"
