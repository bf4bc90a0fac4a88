"""Figures of lengths, images and boxes. Pure.

p_q of n sorted values = value number ceil(q n), counted from 1 (nearest rank), so it is one of the values
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pilot_data import boxes
from pilot_data.boxes import Box, Frame
from pilot_data.records import Size

PATCH_AREA = (14 / 336) ** 2
"""Of the padded square: what one patch of LLaVA-1.5's vision encoder sees."""


@dataclass(frozen=True)
class Spread:
    """How values are distributed."""

    mean: float
    p50: float
    p95: float
    max: float


@dataclass(frozen=True)
class BoxFigures:
    """The boxes of a split."""

    area: Spread
    """Shares of the image."""
    aspect: Spread
    """Width over height, in pixels."""
    tiny: float
    """The share of boxes that are smaller than one patch of the vision encoder, which can hardly see them."""


def spread(values: Sequence[float]) -> Spread | None:
    """Mean, median, 95th percentile and maximum; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return Spread(sum(ordered) / len(ordered), _rank(ordered, 0.5), _rank(ordered, 0.95), ordered[-1])


def _rank(ordered: Sequence[float], q: float) -> float:
    return ordered[max(math.ceil(q * len(ordered)), 1) - 1]


def box_figures(found: Sequence[tuple[Box, Size]], frame: Frame) -> BoxFigures | None:
    """Figures of boxes in a frame, each with the size of its image in pixels; None of nothing."""
    areas, aspects, tiny = [], [], 0
    for box, (width, height) in found:
        x1, y1, x2, y2 = box if frame == "original" else boxes.to_original(box, width, height)
        areas.append((x2 - x1) * (y2 - y1))
        aspects.append((x2 - x1) * width / ((y2 - y1) * height))
        tiny += areas[-1] * width * height / max(width, height) ** 2 < PATCH_AREA
    area, aspect = spread(areas), spread(aspects)
    return BoxFigures(area, aspect, tiny / len(found)) if area and aspect else None
