"""Small sources for imports, and a way to import them."""

import csv
import json
from pathlib import Path
from typing import Any

from PIL import Image
from pilot_data.importing.columns import Columns
from pilot_data.importing.instructions import METRICS, PROMPTS
from pilot_data.importing.job import Import, run
from pilot_data.importing.placement import BoxReading

ALL_TRAIN = {"train": 1.0}
IN_THREE = {"train": 0.8, "val": 0.1, "test": 0.1}
VQA = Columns("image", "answer", "question")
CAPTION = Columns("image", "caption", None)
BOXES = Columns("image", None, "expression", ("box",), "xywh")
COLUMNS = {"vqa": VQA, "caption": CAPTION, "grounding": BOXES}


def picture(folder: Path, name: str, colour: int = 0, size: tuple[int, int] = (64, 48)) -> str:
    """An image of one colour; different colours are different bytes."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour % 256, colour // 256, 7)).save(path)
    return name


def write_csv(folder: Path, rows: list[dict[str, Any]], delimiter: str = ",", name: str = "cases.csv") -> Path:
    file = folder / name
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return file


def write_json(folder: Path, document: Any, name: str = "coco.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(document))
    return file


def write_jsonl(folder: Path, rows: list[Any], name: str = "cases.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def questions(folder: Path, count: int, **more: Any) -> list[dict[str, Any]]:
    """Rows about different images."""
    return [
        {"image": picture(folder, f"{i}.png", i), "question": f"what is {i} ?", "answer": f"number {i}", **more}
        for i in range(count)
    ]


def wanted(source: Path, task: str = "vqa", **changes: Any) -> Import:
    settings = {
        "source": source,
        "task": task,
        "out": source.parent / "out",
        "images": source.parent,
        "columns": COLUMNS[task],
        "client": "clinic",
        "task_name": task,
        "prompt": PROMPTS[task],
        "metric": METRICS[task],
        "shares": ALL_TRAIN,
        "seed": 0,
        "boxes": BoxReading("pixels", "original") if task == "grounding" else None,
        "max_answer_words": 512,
        "max_dropped": 0.1,
    }
    return Import(**{**settings, **changes})


def imported(source: Path, task: str = "vqa", **changes: Any):
    """The report of an import that nobody watches."""
    return run(wanted(source, task, **changes), lambda *_: None)


def split(out: Path, name: str = "train") -> list[dict[str, Any]]:
    return json.loads((out / f"{name}.json").read_text())


def asked(out: Path, name: str = "train") -> list[tuple[str, str]]:
    """Question and answer of each record."""
    turns = [record["conversations"] for record in split(out, name)]
    return [(question["value"], answer["value"]) for question, answer in turns]


def coco(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}
