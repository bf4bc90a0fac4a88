"""The report as one HTML file that needs nothing else."""

from collections.abc import Sequence

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pilot_proto.base import as_json
from pilot_reports import merge_tables, metric_tables, run_tables
from pilot_reports.history import History
from pilot_reports.tables import Table
from pilot_reports.transfer import transfers

from pilot_cli.report import figures
from pilot_cli.report.plots import Plot, drawn

_TEMPLATES = Environment(
    loader=PackageLoader("pilot_cli.report", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(histories: Sequence[History]) -> str:
    """The report of one or more runs; the same bytes for the same histories."""
    several = len(histories) > 1
    return _TEMPLATES.get_template("report.html.j2").render(
        histories=histories,
        runs=[_run(history, number) for number, history in enumerate(histories, 1)],
        side_by_side=metric_tables.side_by_side(histories) if several else None,
        side_by_side_plots=_drawn(list(figures.side_by_side(histories))) if several else [],
        transfers=[(found, metric_tables.transfer(found)) for found in transfers(histories)],
    )


def _run(history: History, number: int) -> dict[str, object]:
    """What the template shows of one run."""
    return {
        "history": history,
        "key": f"run-{number}",
        "settings": run_tables.settings(history),
        "spec": yaml.safe_dump(as_json(history.view.spec), sort_keys=False, allow_unicode=True),
        "participation": run_tables.participation(history),
        "rejections": run_tables.rejections(history),
        "gains": metric_tables.gains(history),
        "plots": _drawn(list(figures.of_run(history, number))),
        "metrics": metric_tables.by_round(history),
        "merges": _merges(history),
        "router": run_tables.router(history),
        "training": run_tables.training(history),
        "losses": run_tables.losses(history),
        "traffic": run_tables.traffic(history),
        "published": merge_tables.published(history),
        "verify": [round.round for round in history.trained if round.state == "Published"],
    }


def _merges(history: History) -> list[Table]:
    made = []
    for round, kind in history.merges():
        if kind.rule.rule == "none":
            continue
        made.append(merge_tables.coefficients(round.round, kind))
        apart = merge_tables.distances(round.round, kind)
        if apart is not None:
            made.append(apart)
    return made


def _drawn(plots: Sequence[Plot]) -> list[tuple[str, Markup]]:
    """Titles and pictures; these are markup, because the writer of SVG has escaped every name in them."""
    return [(plot.title, Markup(drawn(plot))) for plot in plots]
