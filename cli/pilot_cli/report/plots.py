"""Plots of metrics by round, as SVG that stands inside a page: no ids twice, no address, the page's own colours."""

import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
INK = "#010203"
"""Stands for the page's text colour, whatever that is: replaced by `currentColor`."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "pilot",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
COLOURS = ("#2f8fd8", "#c97700", "#12a37a", "#d1598e", "#8c6bd8", "#a0703c")
"""At least 3:1 against white and against the dark ground."""
RIGHT = 0.78
"""Where the panels end and the names begin, the same in every plot."""
LONGEST_NAME = 26
"""Of a line, in characters; the table beside the plot has the names whole."""
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Line:
    name: str
    values: tuple[float | None, ...]
    """One per round, of the panel's rounds."""
    strong: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    rounds: tuple[int, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Plot:
    """Panels side by side with one scale: nothing of one point is ever drawn into the other's panel."""

    key: str
    title: str
    description: str
    unit: str
    panels: tuple[Panel, ...]


def drawn(plot: Plot) -> str:
    """The plot as an SVG element; the same bytes for the same values."""
    with rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.7))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0)
        axes = figure.subplots(1, len(plot.panels), sharey=True, squeeze=False)[0]
        for place, panel in zip(axes, plot.panels, strict=True):
            _draw(place, panel)
        axes[0].set_ylabel(plot.unit)
        figure.subplots_adjust(left=0.075, right=RIGHT, bottom=0.16, top=0.91, wspace=0.07)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="center left", bbox_to_anchor=(RIGHT + 0.01, 0.53))
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _embedded(file.getvalue(), plot)


def _draw(axes: Axes, panel: Panel) -> None:
    axes.patch.set_alpha(0)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.6)
    for number, line in enumerate(panel.lines):
        axes.plot(
            panel.rounds,
            # What was not measured is a gap, not a line across it.
            [nan if v is None else v for v in line.values],
            label=_shortened(line.name),
            color=INK if line.strong else COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=5 if line.strong else 3.5,
            linewidth=2.2 if line.strong else 1.1,
            zorder=3 if line.strong else 2,
        )
    axes.set_xlim(min(panel.rounds, default=0) - 0.3, max(panel.rounds, default=0) + 0.3)
    axes.margins(y=0.12)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def _embedded(text: str, plot: Plot) -> str:
    """As a part of a page: titled, without metadata and namespaces, its ids its own."""
    root = ElementTree.fromstring(text)
    for part in root.findall(f"{SVG}metadata"):
        root.remove(part)
    wanted = {reference.removeprefix("#") for reference in _references(root)}
    for element in root.iter():
        _clean(element, plot.key, wanted)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"role": "img", "class": "plot", "aria-labelledby": f"{plot.key}-title {plot.key}-desc"})
    for place, (name, words) in enumerate((("title", plot.title), ("desc", plot.description))):
        element = ElementTree.Element(name, {"id": f"{plot.key}-{name}"})
        element.text = words
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _references(root: ElementTree.Element) -> Sequence[str]:
    links = [element.get(f"{XLINK}href", "") for element in root.iter()]
    clips = [element.get("clip-path", "").removeprefix("url(").removesuffix(")") for element in root.iter()]
    return [*links, *clips]


def _clean(element: ElementTree.Element, key: str, wanted: set[str]) -> None:
    element.tag = element.tag.removeprefix(SVG)
    own = element.attrib.pop("id", None)
    if own in wanted:
        element.set("id", f"{key}-{own}")
    link = element.attrib.pop(f"{XLINK}href", None)
    if link is not None:
        element.set("href", f"#{key}-{link.removeprefix('#')}")
    clip = element.get("clip-path")
    if clip is not None:
        element.set("clip-path", clip.replace("#", f"#{key}-"))
    for name in ("style", "fill", "stroke"):
        if name in element.attrib:
            element.set(name, element.attrib[name].replace(INK, "currentColor"))
    if element.tag == "style":
        # Of one figure, but it would hold for the whole page.
        element.text = ""
