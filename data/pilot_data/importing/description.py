"""The text of a `dataset.yaml`, with a comment at every field. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from pilot_data.boxes import Frame
from pilot_data.dataset import SplitName

SKELETON = "# A skeleton: "
"""How the file of a folder begins that is still to be filled."""

_SPLIT_NOTES = {"train": "LLaVA JSON", "val": "settings are chosen here", "test": "and reported here"}


@dataclass(frozen=True)
class Description:
    """What a `dataset.yaml` says."""

    client: str
    task: str
    metric: str
    max_new_tokens: int
    box_frame: Frame | None
    splits: Sequence[SplitName]


def dataset_text(described: Description, title: str) -> str:
    """The document; `title` is its first comment, of one or more lines."""
    lines = [
        *(f"# {line}" for line in title.splitlines()),
        "apiVersion: pilot/v1alpha1",
        "kind: Dataset",
        f"metadata: {{name: {scalar(described.client)}}}",
        "spec:",
        _field(f"task: {scalar(described.task)}", "one of the federation's tasks"),
        _field(f"metric: {described.metric}", "exact-match, token-f1, rouge-l, cider, iou, or module:function"),
    ]
    if described.box_frame:
        note = "what 1 is: the image's own sides, or (padded) the side of its padded square"
        lines.append(_field(f"box_frame: {described.box_frame}", note))
    lines.append(_field(f"max_new_tokens: {described.max_new_tokens}", "the longest answer that evaluation generates"))
    lines.append("  splits:")
    lines += [_field(f"  {name}: {{file: {name}.json, images: .}}", _SPLIT_NOTES[name]) for name in described.splits]
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """A name as YAML reads it back: `no` and `007` are names, too."""
    return text if yaml.safe_load(text) == text else json.dumps(text)


def _field(text: str, note: str) -> str:
    return f"{'  ' + text:<45} # {note}"
