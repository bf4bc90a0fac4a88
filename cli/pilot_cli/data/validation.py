"""`pilot data validate`: every bad record, counts, figures, and what occurs twice."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pilot_data.errors import DataError
from pilot_data.inspection.folder import SplitInspection
from pilot_data.inspection.job import Inspected, Inspection, inspect
from pilot_data.inspection.statistics import Spread
from pilot_data.pictures import decoded_size, header_size

from pilot_cli.data.progress import reporting
from pilot_cli.errors import FAILED, USAGE, CommandError
from pilot_cli.output import Format, Output, console, print_document, print_table

SHOWN_CHARACTERS = 32


def validate_data(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders with a dataset.yaml.")],
    decode: Annotated[
        bool, typer.Option("--decode/--no-decode", help="Decode every image, or read its header only.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Any bad record or warning is a failure, too.")] = False,
    limit: Annotated[int, typer.Option(help="Bad records to print for each split; -o json prints all.", min=0)] = 20,
    output: Output = Format.TABLE,
) -> None:
    """Look at data folders as the trainer would: every bad record, counts, lengths, boxes, duplicates, leaks.

    Exit code 0 when the trainer would take them all (at most 1 bad record in 100), 1 when not; with --strict, 1 for
    any warning. Needs no server, no torch and no GPU.
    """
    try:
        with reporting() as report:
            found = inspect(folders, decoded_size if decode else header_size, report)
    except DataError as error:
        raise CommandError(error.what, hint=error.hint, exit_code=USAGE) from error
    if output in (Format.JSON, Format.YAML):
        print_document(document(found), output)
    else:
        _show(found, limit)
    if not found.usable or (strict and not found.spotless):
        raise CommandError(
            "the data are not fit for training" if not found.usable else "not spotless, and --strict was asked for",
            why="a split cannot be read, or more than 1 record in 100 is bad" if not found.usable else "",
            hint="mend what is listed above; pilot data validate -o json lists all of it",
            exit_code=FAILED,
        )


def document(found: Inspection) -> dict[str, Any]:
    """Everything that was found, as JSON values."""
    return {
        "usable": found.usable,
        "datasets": [_folder_document(each) for each in found.folders],
        "sharedImages": [{"folders": list(each.clients), "images": each.images} for each in found.shared],
    }


def _folder_document(each: Inspected) -> dict[str, Any]:
    folder = each.folder
    return {
        "folder": str(folder.folder),
        "client": folder.client,
        "task": folder.spec.task,
        "metric": folder.spec.metric,
        "usable": folder.usable,
        "splits": {split.name: _split_document(split) for split in folder.splits},
        "bad": [
            {"split": split.name, "file": bad.file, "index": bad.index, "reason": bad.reason}
            for split in folder.splits
            for bad in split.bad
        ],
        "repeated": [asdict(repeated) for repeated in each.repeated],
        "leaks": [asdict(leak) for leak in each.leaks],
        "warnings": list(each.warnings),
    }


def _split_document(split: SplitInspection) -> dict[str, Any]:
    sides, boxes = split.sides, split.boxes
    return {
        "file": split.file,
        "error": split.error,
        "records": split.records,
        "bad": len(split.bad),
        "usable": split.usable,
        "questionWords": _figures(split.question_words),
        "answerWords": _figures(split.answer_words),
        "images": {
            "files": split.num_images,
            "width": _figures(sides[0] if sides else None),
            "height": _figures(sides[1] if sides else None),
        },
        "boxes": {"area": _figures(boxes.area), "aspect": _figures(boxes.aspect), "tiny": boxes.tiny}
        if boxes
        else None,
        "frequentAnswers": [{"answer": answer, "count": count} for answer, count in split.frequent_answers],
    }


def _figures(spread: Spread | None) -> dict[str, float] | None:
    return asdict(spread) if spread else None


def _show(found: Inspection, limit: int) -> None:
    for each in found.folders:
        folder = each.folder
        console.print(
            f"{folder.folder}: client {folder.client}, task {folder.spec.task}, {folder.spec.metric}", markup=False
        )
        _show_splits(folder.splits)
        for split in folder.splits:
            _show_answers(split)
            _show_bad(split, limit)
        for warning in each.warnings:
            console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
        console.print()
    for shared in found.shared:
        a, b = shared.clients
        console.print(f"note: {a} and {b} have {shared.images} images in common", markup=False)
    console.print("the trainer would take these data" if found.usable else "the trainer would refuse these data")


def _show_splits(splits: tuple[SplitInspection, ...]) -> None:
    columns = ["split", "records", "bad", "images", "question words", "answer words", "width", "height", "box area"]
    rows = [
        [
            split.name,
            str(split.records),
            str(len(split.bad)),
            str(split.num_images),
            _brief(split.question_words),
            _brief(split.answer_words),
            *(_brief(side) for side in split.sides or (None, None)),
            _shares(split.boxes.area if split.boxes else None),
        ]
        for split in splits
    ]
    print_table(columns, rows, right=columns[1:])
    console.print("figures: median / 95 % / largest", style="dim")


def _brief(spread: Spread | None) -> str:
    return f"{spread.p50:g} / {spread.p95:g} / {spread.max:g}" if spread else "-"


def _shares(spread: Spread | None) -> str:
    return f"{spread.p50:.1%} / {spread.p95:.1%} / {spread.max:.1%}" if spread else "-"


def _show_answers(split: SplitInspection) -> None:
    total = sum(split.tally.answers.values())
    frequent = [f"{_short(answer)} {count / total:.0%}" for answer, count in split.frequent_answers[:5] if count > 1]
    if frequent:
        told = f"{split.name}: {len(split.tally.answers)} different answers; most frequent: {', '.join(frequent)}"
        console.print(told, markup=False, soft_wrap=True)


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}...")


def _show_bad(split: SplitInspection, limit: int) -> None:
    if split.error:
        console.print(f"error: {split.error}", style="red", markup=False, soft_wrap=True)
    for bad in split.bad[:limit]:
        console.print(f"bad: {bad}", style="red", markup=False, soft_wrap=True)
    if len(split.bad) > limit:
        console.print(f"bad: {split.file}: and {len(split.bad) - limit} more", style="red", markup=False)
