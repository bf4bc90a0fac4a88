"""What is written to disk, as text and bytes: LLaVA records, pictures, `dataset.yaml`, `federation.yaml`."""

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from pilot_digits.profiles import TASKS, FederationName, Profile, TaskName
from pilot_digits.samples import SPLITS, Sample, SplitName

API_VERSION = "pilot/v1alpha1"

_TITLES: dict[TaskName, str] = {
    "vqa": "questions with one-word answers",
    "caption": "captions",
    "grounding": "boxes of named digits",
}
# The longest answer of the task and its end mark, and a little room to be wrong in.
_MEASURES: dict[TaskName, dict[str, Any]] = {
    "vqa": {"metric": "exact-match", "max_new_tokens": 4},
    "caption": {"metric": "cider", "max_new_tokens": 24},
    "grounding": {"metric": "iou", "box_frame": "original", "max_new_tokens": 12},
}


def picture(pixels: NDArray[np.uint8]) -> bytes:
    """A lossless grey PNG without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def record_id(split: SplitName, index: int) -> str:
    """The id of a record, unique in the client's folder."""
    return f"{split}-{index:06d}"


def image_path(identity: str) -> str:
    """Where a record's picture lies, relative to the client's folder."""
    return f"images/{identity}.png"


def records(split: SplitName, samples: Sequence[Sample]) -> str:
    """One split as LLaVA JSON. `references` holds every right answer, where there are several."""
    rows = [_record(record_id(split, index), sample) for index, sample in enumerate(samples)]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def _record(identity: str, sample: Sample) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": identity,
        "image": image_path(identity),
        "conversations": [
            {"from": "human", "value": f"<image>\n{sample.instruction}"},
            {"from": "gpt", "value": sample.answer},
        ],
    }
    if sample.references:
        row["references"] = list(sample.references)
    return row


def dataset_yaml(profile: Profile) -> str:
    """What the client's folder holds."""
    splits = {split: {"file": f"{split}.json", "images": "."} for split in SPLITS}
    spec = {"task": profile.task, **_MEASURES[profile.task], "splits": splits}
    return _document("Dataset", profile.client, spec)


def federation_yaml(name: FederationName, clients: Sequence[Profile], model_path: str) -> str:
    """What a deployment with these clients knows; paths are relative to the file."""
    spec = {
        "models": [{"name": "digits-tiny", "path": model_path}],
        "tasks": [{"name": task, "title": _TITLES[task]} for task in TASKS],
        "clients": [{"name": p.client, "task": p.task, "data": data_path(p.client)} for p in clients],
    }
    return _document("Federation", name, spec)


def data_path(client: str) -> str:
    """The client's folder, relative to `federation.yaml`."""
    return f"data/{client}"


def _document(kind: str, name: str, spec: dict[str, Any]) -> str:
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    return yaml.safe_dump(document, sort_keys=False)
