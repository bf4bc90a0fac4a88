"""`pilot init`: the files of a new federation, ready to be filled."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
import yaml
from pilot_proto.federation import Federation
from pilot_proto.names import check_name
from pilot_proto.problem import InvalidDocument, validated

from pilot_cli.errors import USAGE, CommandError
from pilot_cli.output import complaints, console
from pilot_cli.skeletons import Department, files

EXAMPLE = "radiology:vqa,pathology:caption,surgery:grounding"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new federation's folder.")],
    model: Annotated[Path, typer.Option(metavar="PATH", help="A base model in the Hugging Face LLaVA layout.")],
    clients: Annotated[
        str, typer.Option(metavar="NAME:TASK,...", help="Who takes part, each with one task.")
    ] = EXAMPLE,
    name: Annotated[
        str | None, typer.Option(help="Of the federation and its first run; default: the folder's.")
    ] = None,
) -> None:
    """Write federation.yaml, run.yaml and a dataset.yaml per client, with a comment at every field.

    \b
    pilot init hospital --model models/llava-1.5-7b-hf --clients radiology:vqa,pathology:caption,surgery:grounding
    """
    departments = [_department(text) for text in clients.split(",")]
    written = files(
        _name(name or folder.absolute().name, "give one with --name"),
        model_name(model),
        _model_path(model, folder),
        departments,
    )
    _check(written["federation.yaml"])
    _refuse_existing(folder, written)
    for path, text in written.items():
        try:
            _put(folder / path, text)
        except OSError as error:
            raise CommandError(f"{folder / path} cannot be written: {error.strerror}") from error
        console.print(f"{folder / path}", markup=False)
    if not (model / "config.json").is_file():
        complaints.print(
            f"warning: {model} holds no config.json; pilot doctor --model {model}", style="yellow", markup=False
        )
    _tell_next(folder, departments)


def model_name(path: Path) -> str:
    """What runs call a model: its folder's name, in the letters that names have."""
    letters = re.sub(r"[^a-z0-9.]+", "-", path.absolute().name.lower())
    return re.sub(r"-{2,}|\.{2,}", "-", letters).strip("-.")[:40].strip("-.") or "model"


def _department(text: str) -> Department:
    name, colon, task = text.strip().partition(":")
    if not colon:
        raise CommandError(
            f"--clients {text!r} names no task", hint=f"write NAME:TASK, such as {EXAMPLE}", exit_code=USAGE
        )
    return Department(_name(name, "in --clients"), _name(task, "in --clients"))


def _name(name: str, hint: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise CommandError(str(error), hint=hint, exit_code=USAGE) from error


def _model_path(model: Path, folder: Path) -> str:
    """As federation.yaml needs it: relative to itself, unless it was given as absolute."""
    return str(model) if model.is_absolute() else os.path.relpath(model, folder)


def _check(text: str) -> None:
    try:
        validated(Federation, yaml.safe_load(text), "federation")
    except InvalidDocument as error:
        raise CommandError("--clients does not make a federation", why=str(error), exit_code=USAGE) from error


def _refuse_existing(folder: Path, written: Iterable[str]) -> None:
    there = [str(folder / path) for path in written if (folder / path).exists()]
    if there:
        raise CommandError(
            f"{', '.join(there)}: already there, and nothing is overwritten",
            hint="name another folder, or pilot clients add to grow a federation",
            exit_code=USAGE,
        )


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def _tell_next(folder: Path, departments: list[Department]) -> None:
    first = departments[0]
    console.print(
        f"""
next:
  pilot data import FILE --task {first.task} --out {folder / first.data}   (and so for the other clients)
  pilot data validate {folder}/data/*
  pilot up --federation {folder}/federation.yaml
  pilot estimate -f {folder}/run.yaml
  pilot run -f {folder}/run.yaml --watch""",
        markup=False,
        soft_wrap=True,
    )
