"""`pilot data import`: a CSV, JSONL or COCO file and its images become a client's data folder."""

from pathlib import Path
from typing import Annotated

import typer
from pilot_data.boxes import Frame
from pilot_data.errors import DataError
from pilot_data.importing.cases import TaskKind
from pilot_data.importing.columns import BoxFormat, Columns
from pilot_data.importing.instructions import METRICS, PROMPTS, BoxUnits, check_prompt
from pilot_data.importing.job import SUFFIXES, Import, run
from pilot_data.importing.placement import BoxReading
from pilot_data.importing.report import ImportReport
from pilot_data.importing.splits import DEFAULT, parse_shares
from pilot_data.importing.staging import REPORT
from pilot_proto.metrics import check_metric
from pilot_proto.names import check_name
from pilot_reports.numbers import size

from pilot_cli.data.progress import reporting
from pilot_cli.errors import FAILED, USAGE, CommandError
from pilot_cli.output import Format, Output, console, print_document, print_table

QUESTION_COLUMN: dict[TaskKind, str | None] = {"vqa": "question", "caption": None, "grounding": "expression"}
ANSWER_COLUMN: dict[TaskKind, str | None] = {"vqa": "answer", "caption": "caption", "grounding": None}


def import_data(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a .csv, .tsv, .jsonl or COCO .json file")],
    task: Annotated[TaskKind, typer.Option(help="What the data are for.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The client's new folder.")],
    images: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where image paths begin; default: the file's folder.")
    ] = None,
    client: Annotated[str | None, typer.Option(metavar="NAME", help="Default: the name of the new folder.")] = None,
    task_name: Annotated[
        str | None, typer.Option(help="The federation's name of the task; default: as --task.")
    ] = None,
    image: Annotated[str | None, typer.Option(metavar="COLUMN", help="Default: image.")] = None,
    question: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Default: question; for grounding: expression.")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Default: answer; for captions: caption.")
    ] = None,
    box: Annotated[
        str | None, typer.Option(metavar="COLUMNS", help="One column of four numbers, or four: x,y,w,h. Default: box.")
    ] = None,
    box_format: Annotated[BoxFormat | None, typer.Option(help="A corner and a size, or two corners.")] = None,
    box_units: Annotated[BoxUnits, typer.Option(help="Of the file: pixels, or shares of the image.")] = "pixels",
    box_frame: Annotated[
        Frame | None, typer.Option(help="What the model's boxes refer to: the image, or its padded square.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Rows with one value stay in one split: patient, document.")
    ] = None,
    splits: Annotated[str, typer.Option(help="Shares of the groups.")] = DEFAULT,
    seed: Annotated[int, typer.Option(help="Another seed divides otherwise.", min=0)] = 0,
    prompt: Annotated[
        str | None, typer.Option(help="With {question} in it; default: as LLaVA-1.5 was trained.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Default: exact-match, cider or iou, by task.")] = None,
    max_answer_words: Annotated[int, typer.Option(help="Longer ones are dropped: they would be cut.", min=1)] = 512,
    max_dropped: Annotated[float, typer.Option(help="The largest share that may be dropped.", min=0, max=1)] = 0.1,
    link: Annotated[bool, typer.Option("--link", help="Hard links instead of copies of the images.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of an earlier import.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Make a client's data folder from a file and its images. It appears whole or not at all.

    \b
    pilot data import cases.csv --task vqa --images scans --group-by patient --out data/radiology
    pilot data import figures.jsonl --task caption --answer text --out data/pathology
    pilot data import instances.json --task grounding --box-frame padded --out data/surgery
    """
    try:
        columns = _columns(file, task, image, question, answer, box, box_format, box_units, group_by)
        wanted = Import(
            source=file,
            task=task,
            out=Path(out.absolute()),
            images=images or file.parent,
            columns=columns,
            client=_named(client or out.absolute().name, "--client"),
            task_name=_named(task_name or task, "--task-name"),
            prompt=prompt.replace("\\n", "\n") if prompt else PROMPTS[task],
            metric=_metric(metric, task),
            shares=parse_shares(splits),
            seed=seed,
            boxes=_box_reading(task, box_units, box_frame),
            max_answer_words=max_answer_words,
            max_dropped=max_dropped,
            link=link,
            replace=replace,
        )
        check_prompt(wanted.prompt, task)
    except DataError as error:
        raise CommandError(error.what, hint=error.hint, exit_code=USAGE) from error
    _tell(_imported(wanted), wanted, out, output)


def _imported(wanted: Import) -> ImportReport:
    try:
        with reporting() as report:
            return run(wanted, report)
    except DataError as error:
        raise CommandError(error.what, hint=error.hint, exit_code=FAILED) from error
    except OSError as error:
        raise CommandError(
            f"import stopped: {error}", hint="when that is mended, the same command goes on where it stopped"
        ) from error


def _columns(
    file: Path,
    task: TaskKind,
    image: str | None,
    question: str | None,
    answer: str | None,
    box: str | None,
    box_format: BoxFormat | None,
    box_units: BoxUnits,
    group_by: str | None,
) -> Columns:
    coco = SUFFIXES.get(file.suffix.lower()) == "coco"
    _refuse_unread(
        {
            "--image": image if coco else None,
            "--question": question if coco or QUESTION_COLUMN[task] is None else None,
            "--answer": answer if coco or ANSWER_COLUMN[task] is None else None,
            "--box": box if coco or task != "grounding" else None,
            "--box-format": box_format if coco or task != "grounding" else None,
            "--box-units": box_units if (coco or task != "grounding") and box_units != "pixels" else None,
        },
        f"a COCO file with --task {task}" if coco else f"--task {task}",
    )
    if task == "grounding" and not coco and box_format is None:
        raise DataError(
            "--box-format is not given, and four numbers do not say what they are",
            "xywh: a corner, width and height, as in COCO; xyxy: two corners",
        )
    return Columns(
        image=image or "image",
        question=question or QUESTION_COLUMN[task],
        answer=answer or ANSWER_COLUMN[task],
        box=_box_columns(box) if task == "grounding" else (),
        box_format=box_format or "xywh",
        group=group_by,
    )


def _refuse_unread(given: dict[str, str | None], reader: str) -> None:
    for option, value in given.items():
        if value is not None:
            raise DataError(f"{option} {value!r} is not read by {reader}", "leave it out")


def _box_columns(box: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (box or "box").split(","))
    if len(names) not in (1, 4):
        raise DataError(f"--box {box!r} names {len(names)} columns", "name one with four numbers, or four: x,y,w,h")
    return names


def _box_reading(task: TaskKind, units: BoxUnits, frame: Frame | None) -> BoxReading | None:
    if task != "grounding":
        if frame:
            raise DataError(f"--box-frame {frame!r} is not read by --task {task}", "leave it out")
        return None
    if frame is None:
        raise DataError(
            "--box-frame is not given: the model may write boxes as shares of the image (original) or of the square "
            "that LLaVA pads it to (padded); for an image that is no square they differ, and nothing would show it",
            "padded is how LLaVA-1.5's own boxes are read by most; take one for all clients of a task",
        )
    return BoxReading(units, frame)


def _named(name: str, option: str) -> str:
    try:
        return check_name(name)
    except ValueError as error:
        raise DataError(str(error), f"give one with {option}") from error


def _metric(metric: str | None, task: TaskKind) -> str:
    try:
        found = check_metric(metric or METRICS[task])
    except ValueError as error:
        raise DataError(f"--metric {error}") from error
    if found == "iou" and task != "grounding":
        raise DataError(f"--metric iou compares boxes, and --task {task} has none", f"default: {METRICS[task]}")
    return found


def _tell(done: ImportReport, wanted: Import, out: Path, output: Format) -> None:
    if output in (Format.JSON, Format.YAML):
        print_document(done.document(), output)
        return
    rows = [[name, str(c.records), str(c.images), str(c.groups)] for name, c in done.splits.items()]
    print_table(["split", "records", "images", "groups"], rows, right=["records", "images", "groups"])
    if done.dropped:
        console.print(f"\n{len(done.dropped)} of {done.cases} cases dropped:")
        told = [
            [reason, str(count), f"{first.place} {first.detail}".strip()] for reason, count, first in done.reasons()
        ]
        print_table(["reason", "cases", "first"], told, right=["cases"])
    for reason, count in done.skipped.items():
        console.print(f"passed over: {reason} ({count})", markup=False)
    if done.same_images:
        console.print(f"{done.same_images} image files have the bytes of another: kept once", markup=False)
    how = "linked" if wanted.link else "copied"
    console.print(
        f"\n{out}: {done.images} images {how}, {size(done.image_bytes)}; what was dropped: {REPORT}", markup=False
    )
    console.print(f"next: pilot data validate {out}", markup=False)
