"""Numbers for people: bytes, scores in the unit that people quote, and differences with their sign."""

from pilot_proto.metrics import unit_of


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes everything")


def score(value: float | None, metric: str) -> str:
    """A metric's value in the unit that people quote: per cent, or a score as it is."""
    if value is None:
        return "-"
    return f"{100 * value:.1f} %" if unit_of(metric) == "share" else f"{value:.3f}"


def change(value: float | None, metric: str) -> str:
    """A difference of two scores with its sign: of shares in points, of other scores as it is."""
    if value is None:
        return "-"
    return f"{100 * value:+.1f}" if unit_of(metric) == "share" else f"{value:+.3f}"
