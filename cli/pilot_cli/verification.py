"""`pilot verify`: is what was published what the plan says?"""

from typing import Annotated

import typer
from pilot_proto.base import as_json

from pilot_cli.context import server
from pilot_cli.errors import FAILED, INPUTS_DELETED, CommandError
from pilot_cli.output import Format, Output, console, print_document, print_table


def verify(
    run: Annotated[str, typer.Argument(help="The run's name.")],
    round_number: Annotated[int, typer.Argument(metavar="ROUND", help="A published round.")],
    output: Output = Format.TABLE,
) -> None:
    """Recompute a round's merge from its stored coefficients and compare the bytes.

    Exit code 0: identical. 1: different. 7: retention deleted the inputs.
    """
    with server().aggregator() as aggregator:
        report = aggregator.verify(run, round_number)
    told = output in (Format.JSON, Format.YAML)
    if told:
        print_document(as_json(report), output)
    elif report.outputs:
        rows = [[repo, "identical" if same else "DIFFERENT"] for repo, same in sorted(report.outputs.items())]
        print_table(["OUTPUT", "RECOMPUTED"], rows)
        console.print(f"largest relative error of a distance: {report.max_distance_error:.1e}", markup=False)
    if report.verdict == "inputs_deleted":
        hint = "set 'retention: {raw_updates: forever}' in the run to keep them"
        raise CommandError(f"round {round_number}: {report.message}", hint=hint, exit_code=INPUTS_DELETED)
    if report.verdict == "different":
        raise CommandError(f"round {round_number} is not what its plan says", exit_code=FAILED)
    if not told:
        console.print(f"round {round_number}: {report.message or report.verdict}", markup=False)
