"""Boxes: frames, overlap and how they are read from text.

    IoU(a, b) = |a and b| / |a or b|          0 when the union is empty
    padded    = (original * (w, h) + offset) / max(w, h),   offset = (max(w, h) - (w, h)) / 2

A box is (x1, y1, x2, y2) in [0, 1]. In the `original` frame 1 is the image's own width and height; in the `padded`
frame it is the side of the square that LLaVA pads the image to, with the image in the middle. IoU is the same in
both, so data need no conversion; the frame only decides what lies outside the image.
"""

import re
from typing import Literal

Box = tuple[float, float, float, float]
Frame = Literal["padded", "original"]

NUMBER = r"-?\d*\.?\d+"
_BOX = re.compile(r"\[\s*" + r"\s*,\s*".join([f"({NUMBER})"] * 4) + r"\s*\]")


def from_xywh(xywh: Box, width: int, height: int) -> Box:
    """Pixels (x, y, w, h) as in COCO to a box in the original frame."""
    x, y, w, h = xywh
    return (x / width, y / height, (x + w) / width, (y + h) / height)


def to_padded(box: Box, width: int, height: int) -> Box:
    """From the original to the padded frame of a width x height image."""
    side, (x0, y0) = max(width, height), _margins(width, height)
    x1, y1, x2, y2 = box
    return (x0 + x1 * width / side, y0 + y1 * height / side, x0 + x2 * width / side, y0 + y2 * height / side)


def to_original(box: Box, width: int, height: int) -> Box:
    """From the padded to the original frame of a width x height image."""
    side, (x0, y0) = max(width, height), _margins(width, height)
    x1, y1, x2, y2 = box
    return (
        (x1 - x0) * side / width,
        (y1 - y0) * side / height,
        (x2 - x0) * side / width,
        (y2 - y0) * side / height,
    )


def _margins(width: int, height: int) -> tuple[float, float]:
    side = max(width, height)
    return ((side - width) / 2 / side, (side - height) / 2 / side)


def inside(box: Box, width: int, height: int, frame: Frame, tolerance: float = 0.01) -> bool:
    """True when the box has positive size and lies on the image; two-decimal text may be off by `tolerance`."""
    x1, y1, x2, y2 = box if frame == "original" else to_original(box, width, height)
    on_image = all(-tolerance <= v <= 1 + tolerance for v in (x1, y1, x2, y2))
    return on_image and x1 < x2 and y1 < y2


def iou(a: Box, b: Box) -> float:
    """Intersection over union, in [0, 1]; swapped corners make an empty box."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = area(a) + area(b) - shared
    return shared / union if union > 0 else 0.0


def area(box: Box) -> float:
    """Area, 0 for swapped corners."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def parse(text: str) -> Box | None:
    """The first `[x1, y1, x2, y2]` in the text, blanks allowed anywhere between; None when there is none."""
    found = _BOX.search(text)
    if found is None:
        return None
    x1, y1, x2, y2 = (float(v) for v in found.groups())
    return (x1, y1, x2, y2)
