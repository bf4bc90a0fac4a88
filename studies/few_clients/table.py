"""The tables of docs/few-clients.md, from results.json: `python -m studies.few_clients.table` writes them again."""

from collections.abc import Sequence
from pathlib import Path

from studies.few_clients import comparison
from studies.few_clients.comparison import TASKS, Gain, Point, Row
from studies.few_clients.results import RESULTS, Measured, read
from studies.few_clients.settings import SETTINGS, Setting

PAGE = Path(__file__).parents[2] / "docs" / "few-clients.md"
BEGIN, END = "<!-- made by studies/few_clients/table.py -->", "<!-- end -->"
REFERENCES = ("local", "fedavg", "alone")
POINTS: tuple[Point, ...] = ("merged", "local")
ROUNDS = (1, 2, 3)


def tables(runs: Sequence[Measured], settings: Sequence[Setting] = SETTINGS) -> str:
    """Everything between the two marks of the page."""
    named = ", ".join(map(str, comparison.seeds(runs)))
    titles = {setting.name: setting.title for setting in settings}
    candidates = [setting for setting in settings if "val" in setting.splits]
    first = comparison.chosen(runs, [setting.name for setting in candidates])
    best = comparison.chosen(runs, [setting.name for setting in candidates if setting.method == "pilot"])
    parts = [
        f"Training seeds {named}. By `merged` on `val` the best of all is {titles[first]}, and of Pilot's settings "
        f"(bold) {titles[best]}.",
        "After the last merge (`merged`):",
        _levels(runs, settings, "merged", best),
        "Before the last merge, on the clients' own models (`local`):",
        _levels(runs, settings, "local", best),
        "`merged` of a setting minus `merged` of the other, on `test` (paired bootstrap, 95 %; bold: without zero):",
        _gains(runs, [setting for setting in settings if setting.method == "pilot"]),
        "The mean on `test` round by round, as `merged / local`:",
        _rounds(runs, settings),
    ]
    return "\n\n".join(parts)


def page(text: str, runs: Sequence[Measured]) -> str:
    """The page with its tables made again.

    Raises:
        ValueError: the page lacks the marks.
    """
    head, begin, tail = text.partition(BEGIN)
    _, end, rest = tail.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/few-clients.md needs the marks {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{tables(runs)}\n{END}{rest}"


def _levels(runs: Sequence[Measured], settings: Sequence[Setting], point: Point, best: str) -> str:
    base = comparison.before(runs, "test")
    rows = [["base model", *_cells(base), f"{base.mean:.1f}", f"{comparison.before(runs, 'val').mean:.1f}", ""]]
    for setting in settings:
        test = comparison.row(runs, setting.name, "test", point)
        differences = comparison.by_seed(runs, setting.name, "local", point) if setting.name != "local" else []
        title = f"**{setting.title}**" if setting.name == best else setting.title
        val = _level(comparison.row(runs, setting.name, "val", point)) if "val" in setting.splits else ""
        rows.append([title, *_cells(test), _level(test), val, " ".join(f"{value:+.1f}" for value in differences)])
    heads = ["setting", *TASKS, "mean (sd)", "mean on `val` (sd)", "minus local, by seed"]
    return _table(heads, rows)


def _rounds(runs: Sequence[Measured], settings: Sequence[Setting]) -> str:
    rows = [
        [setting.title, *(" / ".join(f"{mean:.1f}" for mean in _means(runs, setting, number)) for number in ROUNDS)]
        for setting in settings
    ]
    return _table(["setting", *(f"round {number}" for number in ROUNDS)], rows)


def _means(runs: Sequence[Measured], setting: Setting, number: int) -> list[float]:
    return [comparison.row(runs, setting.name, "test", point, number).mean for point in POINTS]


def _gains(runs: Sequence[Measured], settings: Sequence[Setting]) -> str:
    rows = [
        [setting.title, *(_gain(comparison.gain(runs, setting.name, other, task)) for task in TASKS), other]
        for other in REFERENCES
        for setting in settings
        if setting.name != other
    ]
    return _table(["setting", *TASKS, "minus"], rows)


def _level(row: Row) -> str:
    return f"{row.mean:.1f} ({row.spread:.1f})"


def _cells(row: Row) -> list[str]:
    return [f"{row.tasks[task]:.1f}" for task in TASKS]


def _gain(gain: Gain) -> str:
    text = f"{gain.value:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"
    return f"**{text}**" if gain.low > 0 or gain.high < 0 else text


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the page's tables again."""
    PAGE.write_text(page(PAGE.read_text(), read(RESULTS)))


if __name__ == "__main__":
    main()
