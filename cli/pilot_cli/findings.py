"""What a check found: good or not, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass

from pilot_cli.errors import FAILED, CommandError
from pilot_cli.output import console


@dataclass(frozen=True)
class Finding:
    what: str
    good: bool
    detail: str
    fix: str = ""


def show(findings: Iterable[Finding]) -> None:
    """Print each as it is found.

    Raises:
        CommandError: when one is not good.
    """
    all_good = True
    for finding in findings:
        all_good = all_good and finding.good
        mark = "[green]ok[/]  " if finding.good else "[red]fail[/]"
        console.print(f"{mark} {finding.what}: ", end="")
        console.print(finding.detail, markup=False, soft_wrap=True)
        if not finding.good and finding.fix:
            console.print(f"     next: {finding.fix}", markup=False, soft_wrap=True)
    if not all_good:
        raise CommandError("something is not as it should be", exit_code=FAILED)
