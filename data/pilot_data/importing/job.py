"""One import from end to end: read, check images, place in splits, write beside the destination, rename.

read -> cases            every fault of a row is known before an image is opened
check images             decoded and hashed; noted in a journal, so that a killed import does not do it again
place -> splits          refuses when too much was dropped; nothing has been copied until here
copy, write, rename      all or nothing
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_data.dataset import SplitName
from pilot_data.errors import DataError
from pilot_data.importing.cases import Cases, Dropped, TaskKind
from pilot_data.importing.coco import coco_cases
from pilot_data.importing.coco_file import read_coco
from pilot_data.importing.columns import Columns, table_cases
from pilot_data.importing.description import Description, dataset_text
from pilot_data.importing.images import Picture, Progress, check_images
from pilot_data.importing.instructions import max_new_tokens, records
from pilot_data.importing.placement import BoxReading, Placed, place, sound_cases
from pilot_data.importing.report import ImportReport, SplitCounts, reasons
from pilot_data.importing.splits import Shares
from pilot_data.importing.staging import REPORT, Staging
from pilot_data.importing.tables import read_csv, read_jsonl

SUFFIXES = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "coco"}


@dataclass(frozen=True)
class Import:
    """What is wanted of an import."""

    source: Path
    task: TaskKind
    out: Path
    images: Path
    """What the image paths of the source are relative to."""
    columns: Columns
    client: str
    task_name: str
    prompt: str
    metric: str
    shares: Shares
    seed: int
    boxes: BoxReading | None
    max_answer_words: int
    max_dropped: float
    """The largest share of cases that may be dropped."""
    link: bool = False
    replace: bool = False

    def settings(self) -> dict[str, Any]:
        """What decides the content of the splits, as JSON values."""
        return {
            "splits": dict(self.shares),
            "seed": self.seed,
            "groupBy": self.columns.group or "image",
            "prompt": self.prompt,
            "metric": self.metric,
            "boxFrame": self.boxes.frame if self.boxes else None,
            "maxAnswerWords": self.max_answer_words,
        }


def run(wanted: Import, report: Progress) -> ImportReport:
    """Do it. The destination appears whole, or not at all.

    Raises:
        DataError: the source or too many of its cases cannot be used, or the destination is taken; nothing is left.
        OSError: a volume failed or is full; the same import again goes on where this one stopped.
    """
    if not wanted.images.is_dir():
        raise DataError(f"{wanted.images} is no folder", "say with --images where the source's image paths begin")
    found = read_cases(wanted)
    staging = Staging(wanted.out)
    staging.open(replace=wanted.replace)
    try:
        return _fill(wanted, found, staging, report)
    except DataError:
        staging.discard()
        raise


def read_cases(wanted: Import) -> Cases:
    """What the source says, by the form that its name has. Raises DataError."""
    source, columns = wanted.source, wanted.columns
    form = SUFFIXES.get(source.suffix.lower())
    if form is None:
        raise DataError(
            f"{source}: what {source.suffix or 'no suffix'!r} holds is unknown", f"known: {', '.join(SUFFIXES)}"
        )
    if form == "coco":
        return coco_cases(read_coco(source), wanted.task, columns.group, wanted.max_answer_words, source)
    table = read_csv(source) if form == "csv" else read_jsonl(source)
    return table_cases(table, columns, wanted.task, wanted.max_answer_words)


def _fill(wanted: Import, found: Cases, staging: Staging, report: Progress) -> ImportReport:
    paths = list(dict.fromkeys(wanted.images / case.image for case in found.cases))
    pictures = check_images(paths, staging.journal, report)
    sound, faulty = sound_cases(found.cases, wanted.images, pictures, wanted.boxes)
    placed = place(sound, wanted.shares, wanted.seed)
    dropped = (*found.dropped, *faulty, *placed.dropped)
    num_cases = len(found.cases) + len(found.dropped)
    _refuse_too_many(wanted, dropped, num_cases)
    _refuse_empty(placed, wanted)
    made = {
        name: list(records(cases, wanted.prompt, training=name == "train")) for name, cases in placed.splits.items()
    }
    used = {each.image for cases in placed.splits.values() for each in cases}
    kept = {p.name: p for p in pictures.values() if isinstance(p, Picture) and p.name in used}
    staging.place(kept.values(), link=wanted.link, report=report)
    done = ImportReport(
        source=wanted.source.name,
        task=wanted.task,
        client=wanted.client,
        settings=wanted.settings(),
        cases=num_cases,
        splits={name: _counts(made[name], placed, name) for name in made},
        images=len(kept),
        image_bytes=sum(p.bytes for p in kept.values()),
        same_images=len([p for p in pictures.values() if isinstance(p, Picture) and p.name in used]) - len(kept),
        dropped=dropped,
        skipped=found.skipped,
    )
    _write(wanted, made, done, staging)
    staging.publish()
    return done


def _counts(rows: Sequence[Mapping[str, Any]], placed: Placed, name: SplitName) -> SplitCounts:
    return SplitCounts(len(rows), len({row["image"] for row in rows}), len(placed.groups[name]))


def _refuse_too_many(wanted: Import, dropped: Sequence[Dropped], num_cases: int) -> None:
    if num_cases == 0:
        raise DataError(
            f"{wanted.source} holds nothing for task {wanted.task}: every annotation is passed over by rule"
        )
    if len(dropped) <= wanted.max_dropped * num_cases and len(dropped) < num_cases:
        return
    most = reasons(dropped)
    shown = "; ".join(
        f"{count} x {reason} ({first.place}: {first.detail or reason})" for reason, count, first in most[:5]
    )
    raise DataError(
        f"{len(dropped)} of {num_cases} cases of {wanted.source} cannot be used, "
        f"at most {wanted.max_dropped:.0%} may be (--max-dropped): {shown}",
        REMEDIES.get(most[0][0], "mend the source, or allow more with --max-dropped"),
    )


REMEDIES = {
    "image is missing": "say with --images where the source's image paths begin",
    "box outside the image": "check --box-format (xywh or xyxy) and --box-units (pixels or relative)",
    "box has no size": "check --box-format: xyxy has corners, xywh has a corner and a size",
    "box smaller than a pixel": "check --box-units: shares of the image are relative",
    "no box": "a grounding task needs a box in every case: name its column with --box",
}


def _refuse_empty(placed: Placed, wanted: Import) -> None:
    empty = [name for name, cases in placed.splits.items() if not cases]
    if empty:
        num_groups = sum(map(len, placed.groups.values()))
        raise DataError(
            f"split {empty[0]!r} is empty: {num_groups} groups were divided by their hash",
            "give it a larger share in --splits, leave it out there, or take another --seed",
        )


def _write(
    wanted: Import, made: Mapping[SplitName, Sequence[Mapping[str, Any]]], done: ImportReport, staging: Staging
) -> None:
    for name, rows in made.items():
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        staging.write(f"{name}.json", f"[\n{lines}\n]\n")
    answers = (row["conversations"][-1]["value"] for rows in made.values() for row in rows)
    longest = max(len(answer.split()) for answer in answers)
    described = Description(
        client=wanted.client,
        task=wanted.task_name,
        metric=wanted.metric,
        # The numbers of a box take many tokens each.
        max_new_tokens=32 if wanted.boxes else max_new_tokens(longest),
        box_frame=wanted.boxes.frame if wanted.boxes else None,
        splits=list(made),
    )
    title = f"Made by `pilot data import` from {wanted.source.name}; {REPORT} says what was left out, and why."
    staging.write("dataset.yaml", dataset_text(described, title))
    staging.write(REPORT, json.dumps(done.document(), indent=2, ensure_ascii=False) + "\n")
