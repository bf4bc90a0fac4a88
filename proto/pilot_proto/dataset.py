"""What describes a client's data: `dataset.yaml`, the file that a client writes."""

from typing import Literal

from pydantic import Field, model_validator

from pilot_proto.base import Request
from pilot_proto.metrics import Metric
from pilot_proto.run import Metadata


class Split(Request):
    file: str
    """A LLaVA JSON file, relative to `dataset.yaml`."""
    images: str = "."
    """The folder that the records' image paths are relative to."""


class Splits(Request):
    train: Split
    val: Split | None = None
    test: Split | None = None


class DatasetSpec(Request):
    task: str
    metric: Metric
    """`exact-match`, `token-f1`, `rouge-l`, `cider`, `iou`, or `module:function` of the client's own environment."""
    box_frame: Literal["original", "padded"] | None = None
    """Which frame box coordinates refer to; required for `iou`, because the two differ silently."""
    max_new_tokens: int = Field(default=64, ge=1)
    splits: Splits

    @model_validator(mode="after")
    def _boxes_have_a_frame(self) -> "DatasetSpec":
        if self.metric == "iou" and self.box_frame is None:
            raise ValueError("metric 'iou' needs box_frame: 'original' or 'padded'")
        return self


class Dataset(Request):
    """`dataset.yaml`: what a client's folder holds."""

    apiVersion: Literal["pilot/v1alpha1"]
    kind: Literal["Dataset"]
    metadata: Metadata
    spec: DatasetSpec
