"""LLaVA records: what one may look like, and why a bad one is bad. Pure; files are read in `dataset.py`.

{"id"?, "image"?: path, "conversations": [{"from": "human" | "gpt", "value": text}, ...], "references"?: [text, ...]}
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_proto.conversation import IMAGE, Turn

from pilot_data import boxes

Size = tuple[int, int]
MAX_BAD_SHARE = 0.01


@dataclass(frozen=True)
class Sample:
    """One usable record. Image marks are taken out of the text; the image always comes first."""

    index: int
    image: Path | None
    turns: tuple[Turn, ...]
    references: tuple[str, ...]
    """What the last answer is compared with; the answer itself where the record names no others."""


@dataclass(frozen=True)
class BadRecord:
    """One record that is left out."""

    file: str
    index: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, record {self.index}: {self.reason}"


class RecordFault(ValueError):
    """Why a record cannot be used."""


def parse_record(
    raw: Any, index: int, images: Path, frame: boxes.Frame | None, size_of: Callable[[Path], Size]
) -> Sample:
    """A sample from a decoded record. `frame` is set when answers are boxes.

    Raises RecordFault with the reason; `size_of` raises it too, for an image that cannot be read.
    """
    if not isinstance(raw, dict):
        raise RecordFault(f"a record is a JSON object, not {type(raw).__name__}")
    turns = _turns(raw.get("conversations"))
    image = _image(raw, images, sum(q.count(IMAGE) + a.count(IMAGE) for q, a in turns))
    size = size_of(image) if image is not None else None
    clean = tuple((_without_mark(q), a.strip()) for q, a in turns)
    if frame is not None:
        for _, answer in clean:
            _check_box(answer, size, frame)
    return Sample(index, image, clean, _references(raw, clean[-1][1]))


def _turns(conversations: Any) -> list[Turn]:
    if not isinstance(conversations, list) or not conversations:
        raise RecordFault("conversations is missing or empty")
    values = []
    for i, message in enumerate(conversations):
        expected = "human" if i % 2 == 0 else "gpt"
        if not isinstance(message, dict) or message.get("from") != expected:
            raise RecordFault(f"conversations[{i}] must be from {expected!r}: turns alternate, human first")
        if not isinstance(message.get("value"), str):
            raise RecordFault(f"conversations[{i}].value must be text")
        values.append(message["value"])
    if len(values) % 2:
        raise RecordFault("the last human turn has no answer")
    turns = list(zip(values[::2], values[1::2], strict=True))
    if not all(answer.strip() for _, answer in turns):
        raise RecordFault("empty answer")
    return turns


def _image(raw: dict[str, Any], images: Path, num_marks: int) -> Path | None:
    name = raw.get("image")
    if num_marks > 1:
        raise RecordFault(f"{num_marks} {IMAGE} marks; one image per record is supported")
    if name is None:
        if num_marks:
            raise RecordFault(f"{IMAGE} in the text, but the record names no image")
        return None
    if not isinstance(name, str) or not name:
        raise RecordFault("image must be a path")
    path = images / name
    if ".." in Path(name).parts or Path(name).is_absolute():
        raise RecordFault(f"image {name!r} must stay below the image folder")
    return path


def _without_mark(text: str) -> str:
    return text.replace(IMAGE, "").strip()


def _check_box(answer: str, size: Size | None, frame: boxes.Frame) -> None:
    box = boxes.parse(answer)
    if box is None:
        raise RecordFault(f"the answer {answer[:60]!r} holds no box [x1, y1, x2, y2]")
    if size is None:
        raise RecordFault("a box needs an image")
    if not boxes.inside(box, *size, frame):
        raise RecordFault(f"box {list(box)} lies outside the {size[0]}x{size[1]} image in the {frame} frame")


def _references(raw: dict[str, Any], answer: str) -> tuple[str, ...]:
    references = raw.get("references")
    if references is None:
        return (answer,)
    if not isinstance(references, list) or not references or not all(isinstance(r, str) and r for r in references):
        raise RecordFault("references must be a list of texts")
    return tuple(references)


def too_many(num_bad: int, num_records: int) -> bool:
    """True above one bad record in a hundred."""
    return num_bad > MAX_BAD_SHARE * num_records
