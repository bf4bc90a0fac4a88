"""`pilot merge`: adapters in folders in, adapters in folders out, without any server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pilot_proto.run import Rule
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pilot_aggregator.merge.folders import FolderMerge

FAILED = 1
USAGE = 2


class UsageError(ValueError):
    """An argument that cannot be read; the message names it."""


def merge_adapters(
    sources: list[Path],
    out: Path,
    rule: str,
    *,
    weights: str | None = None,
    tasks: str | None = None,
    neighbours: int | None = None,
    combine: str | None = None,
    metric: str | None = None,
    weight_cap: float | None = None,
    base: Path | None = None,
) -> "FolderMerge":
    """Do what `pilot merge` does; the arguments are those of the command line.

    Raises:
        UsageError: an argument that cannot be read.
        ValueError: inputs that cannot be merged (`MergeRefused`); nothing is written.
        OSError: `out` cannot be written.
    """
    from pilot_aggregator.merge.folders import merge_folders

    return merge_folders(
        sources,
        out,
        _rule(rule, neighbours=neighbours, combine=combine, weight_cap=weight_cap),
        weights=_counts(weights),
        tasks=[task.strip() for task in tasks.split(",")] if tasks is not None else None,
        metric=metric,
        base=base,
    )


def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="DIR...", help="PEFT folders, or single safetensors files")],
    rule: Annotated[str, typer.Option(help="none, mean, per-task-mean, same-task or nearest")],
    out: Annotated[Path, typer.Option(help="a new folder: plan.json, and one folder per output")],
    weights: Annotated[str | None, typer.Option(help="samples behind each input: 10,20,30; default: equal")] = None,
    tasks: Annotated[str | None, typer.Option(help="task of each input: a,b,a; default: one for all")] = None,
    neighbours: Annotated[int | None, typer.Option(help="M, for nearest; default: all others")] = None,
    combine: Annotated[
        str | None, typer.Option(help="convex, literal, literal-renorm, size-distance or fedavg-topm")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="euclidean, euclidean-delta or product")] = None,
    weight_cap: Annotated[float | None, typer.Option(help="the most that one neighbour may weigh")] = None,
    base: Annotated[Path | None, typer.Option(help="what all started from, for metric euclidean-delta")] = None,
) -> None:
    """Merge adapters on this machine; no server, no GPU.

    \b
    pilot merge a/ b/ c/ --rule mean --weights 10,20,30 --out merged
    pilot merge a/ b/ c/ --rule nearest --neighbours 2 --out personal
    """
    errors = Console(stderr=True)
    try:
        done = merge_adapters(
            sources,
            out,
            rule,
            weights=weights,
            tasks=tasks,
            neighbours=neighbours,
            combine=combine,
            metric=metric,
            weight_cap=weight_cap,
            base=base,
        )
    except ModuleNotFoundError as error:
        errors.print(f"pilot merge needs {error.name}; install pilot-cli with its extra 'local'", markup=False)
        raise typer.Exit(FAILED) from error
    except (ValueError, OSError) as error:
        errors.print(f"pilot merge: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(USAGE if isinstance(error, UsageError) else FAILED) from error
    _show(done, out)


def _rule(name: str, *, neighbours: int | None, combine: str | None, weight_cap: float | None) -> Rule:
    try:
        return Rule.model_validate(
            {"rule": name, "neighbours": neighbours, "combine": combine, "weight_cap": weight_cap}
        )
    except ValidationError as error:
        fault = error.errors()[0]
        option = str(fault["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option} {fault['input']!r}: {fault['msg']}") from error


def _counts(written: str | None) -> list[int] | None:
    if written is None:
        return None
    try:
        return [int(count) for count in written.split(",")]
    except ValueError as error:
        raise UsageError(f"--weights {written!r} is not a list of counts; write them like 10,20,30") from error


def _show(done: "FolderMerge", out: Path) -> None:
    table = Table("output", "made of", "sha256", box=None)
    rows = dict(zip(done.plan["outputs"], done.plan["coefficients"], strict=True))
    for output, written in done.outputs.items():
        parts = zip(done.plan["names"], rows[output], strict=True)
        made_of = " + ".join(f"{share:.3f} {name}" for name, share in parts if share)
        table.add_row(output, made_of, written.digest.removeprefix("sha256:")[:12])
    console = Console()
    console.print(table)
    console.print(f"written to {out}; distances and coefficients are in {out / 'plan.json'}", markup=False)
