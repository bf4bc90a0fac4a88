"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import io

from pilot_cli.data.progress import LINE_EVERY_S, reporting
from rich.console import Console


def test_without_a_terminal_a_line_is_printed_now_and_then():
    out, clock = io.StringIO(), iter(range(1000))
    with reporting(Console(file=out, width=80), lambda: next(clock)) as report:
        for done in range(1, 13):
            report("checking images", done, 12)
    lines = out.getvalue().splitlines()
    assert lines[0] == f"checking images: {LINE_EVERY_S:.0f} of 12"
    assert len(lines) == 2


def test_on_a_terminal_every_stage_has_a_bar():
    out = io.StringIO()
    with reporting(Console(file=out, width=80, force_terminal=True)) as report:
        report("checking images", 1, 2)
        report("placing images", 2, 2)
    assert "checking images" in out.getvalue()
    assert "placing images" in out.getvalue()
