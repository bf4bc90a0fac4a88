"""`pilot estimate`: what a run will cost, before it is started."""

import re
from pathlib import Path
from typing import Annotated

import typer
from pilot_proto.targets import BadTarget

from pilot_cli.errors import USAGE, CommandError
from pilot_cli.estimate import reading
from pilot_cli.estimate.assembly import Question
from pilot_cli.estimate.assembly import estimate as estimated
from pilot_cli.estimate.memory import Sample
from pilot_cli.estimate.writing import as_document, print_tables
from pilot_cli.output import Format, Output, print_document

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 1 << 20, "GIB": 1 << 30}
_PROGRAMS = ("plain", "stage-1", "stage-2")


def estimate(
    file: Annotated[Path, typer.Option("-f", "--file", help="The run.")],
    federation: Annotated[
        Path | None, typer.Option(help="Who takes part. Default: federation.yaml beside the run.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The base model's folder. Default: what the federation says.")
    ] = None,
    step_seconds: Annotated[
        str | None, typer.Option(help="Measured seconds of one step, such as stage-1=2.1,stage-2=2.5.")
    ] = None,
    gpu_memory: Annotated[str | None, typer.Option(help="Of one GPU, such as 80GB: finds the micro-batch.")] = None,
    text_tokens: Annotated[int, typer.Option(min=1, help="Of the longest sample, beside its image.")] = 128,
    answer_tokens: Annotated[int, typer.Option(min=1, help="Of these, the answer's.")] = 64,
    output: Output = Format.TABLE,
) -> None:
    """What a run will cost each client and each disk: numbers and bytes exactly, memory as an estimate."""
    run = reading.read_run(file)
    place = reading.federation_beside(file, federation)
    known = reading.read_federation(place)
    clients = reading.taking_part(known.spec.clients, run.spec)
    evaluation = run.spec.evaluation
    question = Question(
        spec=run.spec,
        llava=reading.read_model(model or reading.model_folder(known, place.parent, run.spec)),
        clients=[reading.data_of(client, place.parent, evaluation.samples, evaluation.split) for client in clients],
        sample=Sample(text_tokens, answer_tokens),
        gpu_bytes=None if gpu_memory is None else read_bytes(gpu_memory),
        step_seconds=None if step_seconds is None else read_seconds(step_seconds),
    )
    try:
        found = estimated(question)
    except BadTarget as error:
        raise CommandError(str(error), hint="set training.lora.target_modules", exit_code=USAGE) from error
    if output in (Format.JSON, Format.YAML):
        print_document(as_document(question, found), output)
    else:
        print_tables(question, found)


def read_bytes(text: str) -> int:
    """`80GB`, `24GiB`. Raises CommandError for anything else."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", text)
    if match is None or match[2].upper() not in _UNITS:
        raise CommandError(f"{text!r} is no amount of memory", hint="such as 80GB or 24GiB", exit_code=USAGE)
    return int(float(match[1]) * _UNITS[match[2].upper()])


def read_seconds(text: str) -> dict[str, float]:
    """`stage-1=2.1,stage-2=2.5`. Raises CommandError for anything else."""
    found = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([a-z0-9-]+)\s*=\s*([0-9]+(?:\.[0-9]+)?)\s*", part)
        if match is None or match[1] not in _PROGRAMS:
            raise CommandError(
                f"{part!r} is no measured step", hint="such as stage-1=2.1,stage-2=2.5 (seconds)", exit_code=USAGE
            )
        found[match[1]] = float(match[2])
    return found
