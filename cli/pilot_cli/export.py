"""`pilot export`: a client's personal model as one folder, made where the client's private state is."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pilot_proto.personal_model import ExportOrder
from pilot_proto.report import ClientReport
from pilot_proto.run import RunView
from pilot_reports.numbers import score, size

from pilot_cli import results
from pilot_cli.context import elsewhere, server
from pilot_cli.errors import FAILED, MISSING, USAGE, CommandError
from pilot_cli.export_job import make, tell_place
from pilot_cli.local.place import Place, place_of
from pilot_cli.output import console


class Point(StrEnum):
    MERGED = "merged"
    LOCAL = "local"


def export(
    run: Annotated[str, typer.Argument(help="The run's name.")],
    client: Annotated[str, typer.Option(help="Whose personal model.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder to write, which must not exist or be empty. On a cluster leave it out."),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--round", help="A training round; default: the last published.", min=1)
    ] = None,
    point: Annotated[
        Point, typer.Option(help="merged: as the round published it; local: as the client's own update left it.")
    ] = Point.MERGED,
    merge_lora: Annotated[
        bool, typer.Option("--merge-lora", help="Fold the LoRA into the base's weights: needs neither base nor peft.")
    ] = False,
) -> None:
    """Write a client's personal model into one folder that pilot_model loads, where its private state is: here ('pilot
    export digits --client vqa-1 --out vqa-1-model'), or on a cluster by a Job of the client ('pilot export digits
    --client vqa-1')."""
    if elsewhere():
        if out is not None:
            raise CommandError(
                f"the private state of {client!r} is not on this machine",
                why=f"{elsewhere()} names a deployment elsewhere, and private state stays where a client trains",
                hint="leave --out out: a Job of the client writes the folder onto the client's own volume",
                exit_code=USAGE,
            )
        _export_there(run, client, number, point, merge_lora)
        return
    if out is None:
        raise CommandError("there is no folder to write", hint="name one: --out DIR", exit_code=USAGE)
    place = place_of(run, client)
    chosen = choose_round(place.run, number, point)
    tell_wanted(run, client, chosen, point)
    tell_measured(place.report(), chosen, point)
    tell_program(place, chosen, _write(place, chosen, out, point, merge_lora))
    total = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    console.print(f"{out}  {size(total)}; what in it is private: {out / 'README.md'}", markup=False, soft_wrap=True)


def _export_there(run: str, client: str, number: int | None, point: Point, merge_lora: bool) -> None:
    with server().aggregator() as aggregator:
        chosen = choose_round(aggregator.run(run), number, point)
        tell_wanted(run, client, chosen, point)
        tell_measured(results.of_client(aggregator, run, client), chosen, point)
        order = ExportOrder(point="merged" if point is Point.MERGED else "local", merge_lora=merge_lora)
        tell_place(make(aggregator, run, chosen, client, order))


def choose_round(view: RunView, number: int | None, point: Point) -> int:
    """The round to export.

    Raises:
        CommandError: the run has not come so far.
    """
    name, published = view.metadata["name"], view.status.published
    chosen = number or min(published, len(view.spec.rounds))
    if chosen < 1 or (point is Point.MERGED and chosen > published):
        raise CommandError(
            f"run {name!r} has not published round {max(chosen, 1)}",
            why=f"the last published is {published}" if published >= 0 else "nothing is published yet",
            hint=f"'pilot wait {name}' waits for the end",
            exit_code=MISSING,
        )
    return chosen


def tell_wanted(run: str, client: str, chosen: int, point: Point) -> None:
    """What is about to be made."""
    console.print(f"{point.value} model of {client} in round {chosen} of {run}", markup=False)


def tell_measured(report: ClientReport | None, chosen: int, point: Point) -> None:
    """Both points of the round, where they were measured, and which was better."""
    if report is None or chosen > len(report.merged):
        return
    values = {Point.MERGED: report.merged[chosen - 1], Point.LOCAL: report.local[chosen - 1]}
    if set(values.values()) == {None}:
        return
    shown = ", ".join(f"{each.value} {score(value, report.metric)}" for each, value in values.items())
    console.print(f"measured ({report.metric}): {shown}", markup=False)
    mine, other = values[point], Point.LOCAL if point is Point.MERGED else Point.MERGED
    theirs = values[other]
    if mine is not None and theirs is not None and theirs > mine:
        console.print(f"The other point measured better: --point {other.value} exports it.", markup=False)


def tell_program(place: Place, chosen: int, program: str) -> None:
    """Say when a client did another stage than the round was for."""
    rounds = place.run.spec.rounds
    if chosen <= len(rounds) and rounds[chosen - 1] != program:
        console.print(f"{place.client} has done {program} only: the round was {rounds[chosen - 1]}", markup=False)


def _write(place: Place, chosen: int, out: Path, point: Point, merge_lora: bool) -> str:
    # Imported here, because torch takes seconds and every other command does without it.
    from pilot_model.errors import DoesNotFit, FolderError, ModelError
    from pilot_model.exporting import folded_bytes
    from pilot_trainer.environment import Environment
    from pilot_trainer.errors import BadAssignment, TrainerError
    from pilot_trainer.export import Order
    from pilot_trainer.export import export as export_here

    environment = Environment(
        aggregator_url=place.aggregator_url,
        registry_url=place.registry_url,
        run=place.run.metadata["name"],
        round=chosen,
        client=place.client,
        incarnation="export",
        token_file=place.key,
        model_dir=place.model_dir,
        data_dir=place.data_dir,
        state_dir=place.state_dir,
        num_threads=1,
        termination_message=None,
        patience_s=0.0,
    )
    try:
        if merge_lora:
            expected = size(folded_bytes(place.model_dir, place.run.spec.training.precision))
            console.print(f"writing the whole model with the LoRA folded in: {expected}", markup=False)
        order = Order(out, "merged" if point is Point.MERGED else "local", merge_lora, _published(place, chosen))
        return export_here(environment, order, place.person).program
    except FolderError as error:
        raise CommandError(str(error), exit_code=USAGE) from error
    except BadAssignment as error:
        raise CommandError(str(error), exit_code=MISSING) from error
    except (TrainerError, ModelError, DoesNotFit, OSError) as error:
        raise CommandError(str(error), exit_code=FAILED) from error


def _published(place: Place, chosen: int) -> dict[str, str]:
    with server().aggregator() as aggregator:
        return dict(aggregator.round(place.run.metadata["name"], chosen).outputs)
