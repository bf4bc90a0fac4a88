"""Draw the result tables of a demo as an SVG: python tools/demo_picture.py RESULT.json PICTURE.svg

RESULT.json is what `pilot demo --compare local,fedavg --json RESULT.json` writes; so the picture is what was measured.
"""

import io
import json
import sys
from pathlib import Path

from pilot_cli import results
from pilot_proto.report import RunReport
from rich.console import Console

WIDTH = 124
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
     aria-label="result tables of pilot demo">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="100%" height="100%" rx="8" fill="#292929"/>
<g transform="translate(9, 9)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""
"""The library's own format names a host to fetch a font from; a reader's machine has one."""


def draw(document: dict[str, object]) -> str:
    """The tables that the demo printed, from the document that it wrote."""
    compared = document["compared"]
    assert isinstance(compared, list)
    first, *others = [RunReport.model_validate(_report(each)) for each in (document, *compared)]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(results.table(first))
    if others:
        console.print()
        console.print(results.comparison(first, others))
    return console.export_svg(title="pilot demo", code_format=FORMAT)


def _report(document: dict[str, object]) -> dict[str, object]:
    return {**document, "published": {}, "digests": {}}


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw(json.loads(source.read_text())))
