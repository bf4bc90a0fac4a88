"""How much each layer changed between two versions, and that as bars. Pure.

l2 = sqrt(sum_t l2_t^2),   relative = l2 / sqrt(sum_t ||a_t||^2),   t: the tensors of the layer
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from math import fsum, sqrt

from pilot_proto.base import Stored
from pilot_proto.registry import TensorComparison

from pilot_registry.ui.views.tensor_names import common_beginning, in_order, layer_of
from pilot_registry.ui.words import number

LABELS, FIELD, VALUES = 230, 420, 80
"""Columns, in pixels: names at most, bars, numbers."""
LETTER = 7
ROW, BAR, TOP = 20, 12, 4
MOST = 160
LONGEST_LABEL = 32


class Layer(Stored):
    name: str
    """Without what all layers' names begin with."""
    tensors: int
    l2: float
    relative: float | None
    """None where all of it was zero."""


class LayerBar(Stored):
    label: str
    value: str
    y: float
    length: float


class LayerBars(Stored):
    """The relative change of each layer."""

    width: int
    height: int
    begin: int
    """Where the bars begin."""
    bar: int = BAR
    bars: tuple[LayerBar, ...]


def layers(tensors: Sequence[TensorComparison]) -> tuple[Layer, ...]:
    """In the order of their names, numbers as numbers."""
    members: dict[str, list[TensorComparison]] = defaultdict(list)
    for tensor in tensors:
        members[layer_of(tensor.name)].append(tensor)
    # All but its last part: `layers.3` says more than 3.
    shared = re.sub(r"[^.]+\.$", "", common_beginning(list(members)))
    return tuple(_layer(name.removeprefix(shared), members[name]) for name in sorted(members, key=in_order))


def layer_bars(found: Sequence[Layer]) -> LayerBars:
    """As many as can be looked at; the longest bar is the largest change."""
    shown = [layer for layer in found if layer.relative is not None][:MOST]
    largest = max((layer.relative or 0.0 for layer in shown), default=0.0) or 1.0
    bars = tuple(_bar(place, layer, largest) for place, layer in enumerate(shown))
    begin = min(LABELS, 14 + LETTER * max((len(bar.label) for bar in bars), default=0))
    return LayerBars(width=begin + FIELD + VALUES, height=2 * TOP + ROW * len(bars), begin=begin, bars=bars)


def _layer(name: str, tensors: Sequence[TensorComparison]) -> Layer:
    l2 = sqrt(fsum(tensor.l2**2 for tensor in tensors))
    before = sqrt(fsum(tensor.norm_a**2 for tensor in tensors))
    return Layer(name=name, tensors=len(tensors), l2=l2, relative=l2 / before if before else None)


def _bar(place: int, layer: Layer, largest: float) -> LayerBar:
    relative = layer.relative or 0.0
    label = layer.name
    if len(label) > LONGEST_LABEL:
        label = f"{label[:12]}\N{HORIZONTAL ELLIPSIS}{label[-(LONGEST_LABEL - 13) :]}"
    return LayerBar(
        label=label, value=number(relative, 3), y=TOP + ROW * place, length=round(relative / largest * FIELD, 1)
    )
