"""Versions as boxes and what was made of what as lines: places on a sheet. Pure."""

from pilot_proto.base import Stored


class Spot(Stored):
    """One version."""

    x: float
    y: float
    width: float
    height: float
    label: str
    under: str = ""
    """A second line."""
    title: str
    """In full, for who points at it or hears it."""
    url: str = ""
    """Empty for what may not be opened."""
    own: bool = False
    """The version that the page is about."""


class Line(Stored):
    """From one spot to another."""

    path: str
    width: float
    title: str
    ends: tuple[int, int]
    """The numbers of the spots."""
    dashed: bool = False
    """It carries no weight: an update began with this."""


class Drawing(Stored):
    width: float
    height: float
    spots: tuple[Spot, ...]
    lines: tuple[Line, ...]


def curve(x1: float, y1: float, x2: float, y2: float) -> str:
    """A path that leaves and arrives level."""
    middle = _short((x1 + x2) / 2)
    begin, end = (_short(x1), _short(y1)), (_short(x2), _short(y2))
    return f"M{begin[0]} {begin[1]}C{middle} {begin[1]} {middle} {end[1]} {end[0]} {end[1]}"


def thickness(weight: float | None, heaviest: float) -> float:
    """Of a line, in pixels."""
    if weight is None or not heaviest:
        return 1.0
    return round(1 + 4 * abs(weight) / heaviest, 1)


def told(weight: float | None, distance: float | None) -> str:
    """What a line says of itself."""
    words = [f"weight {weight:.4g}"] if weight is not None else ["where it began"]
    if distance is not None:
        words.append(f"distance {distance:.4g}")
    return ", ".join(words)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
