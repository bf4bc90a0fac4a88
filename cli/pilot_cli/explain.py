"""`pilot explain`: what a code means, and what to do next."""

import difflib
from typing import Annotated

import typer
from pilot_proto.troubles import EXIT_CODES, TROUBLES

from pilot_cli.errors import MISSING, CommandError
from pilot_cli.output import console


def explain(
    code: Annotated[str, typer.Argument(help="A problem's code, such as round_closed, or an exit code, such as 65.")],
) -> None:
    """What a problem code or an exit code means, and what to do next."""
    entries = told(code)
    if not entries:
        near = difflib.get_close_matches(code, [trouble.code for trouble in TROUBLES], n=1)
        raise CommandError(
            f"no problem and no exit has the code {code!r}",
            hint=f"did you mean {near[0]!r}?" if near else "docs/troubleshooting.md lists all",
            exit_code=MISSING,
        )
    for entry in entries:
        console.print(entry, markup=False, soft_wrap=True)


def told(code: str) -> list[str]:
    """The explanations of a code; several programs may share an exit code."""
    if code.isdecimal():
        exits = [exit_code for exit_code in EXIT_CODES if exit_code.number == int(code)]
        return [_entry(f"{e.program}, exit code {e.number}", e.what, e.next) for e in exits]
    return [_entry(f"{t.code} ({t.where})", t.what, t.next) for t in TROUBLES if t.code == code]


def _entry(title: str, what: str, then: str) -> str:
    return f"{title}: {what}" + (f"\nnext: {then}" if then else "")
