"""COCO documents as cases: captions, and instances by category name or by referring expression. Pure.

{"images": [{"id", "file_name", "width"?, "height"?}], "annotations": [...], "categories": [{"id", "name"}]}

caption     annotation {"image_id", "caption"}
instance    annotation {"image_id", "category_id", "bbox": [x, y, w, h] in pixels, "iscrowd"?, "expressions"?: [text]}
expression  also as RefCOCO writes them, "sentences": [{"sent" or "raw": text}]

A category name asks for one box, so an image with several instances of a category has no right answer for it: these
are passed over and counted, as crowds are. An expression is taken to name one instance.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pilot_data.boxes import Box
from pilot_data.errors import DataError
from pilot_data.importing.cases import Case, CaseFault, Cases, Dropped, TaskKind, clean_answers, clean_text, within
from pilot_data.importing.columns import corners

Entry = Mapping[str, Any]


def coco_cases(document: Entry, task: TaskKind, group_key: str | None, max_words: int, file: Path) -> Cases:
    """The annotations as cases.

    Args:
        group_key: a key of the images, whose value keeps cases together; None for the image itself.

    Raises DataError when the file's annotations are not for the task.
    """
    _check_task(document, task, file)
    reader = _Reader(document, task, group_key, max_words)
    made = Cases()
    for number, annotation in enumerate(document["annotations"]):
        identity = annotation.get("id", number) if isinstance(annotation, dict) else number
        place = f"annotation-{identity}"
        try:
            if reason := reader.passed_over(annotation):
                made.skip(reason)
                continue
            made.cases.extend(reader.cases(annotation, place))
        except CaseFault as fault:
            made.dropped.append(Dropped(place, fault.reason, fault.detail))
    return made


def _check_task(document: Entry, task: TaskKind, file: Path) -> None:
    key = {"caption": "caption", "grounding": "bbox"}.get(task)
    if key is None:
        raise DataError(
            f"{file} is a COCO file: it holds captions or boxes, no questions", "import CSV or JSONL for vqa"
        )
    if not any(isinstance(each, dict) and key in each for each in document["annotations"]):
        found = sorted({name for each in document["annotations"] if isinstance(each, dict) for name in each})
        raise DataError(
            f"{file} has no annotation with {key!r}, which task {task} needs; they have: {', '.join(found)}",
            "take the captions file for captions and the instances file for grounding",
        )


class _Reader:
    def __init__(self, document: Entry, task: TaskKind, group_key: str | None, max_words: int) -> None:
        self._task, self._group_key, self._max_words = task, group_key, max_words
        self._images = {image["id"]: image for image in document["images"] if _has_id(image)}
        self._names = {each["id"]: each.get("name") for each in document.get("categories") or () if _has_id(each)}
        self._instances = Counter(
            (each.get("image_id"), each.get("category_id")) for each in document["annotations"] if _is_instance(each)
        )

    def passed_over(self, annotation: Any) -> str:
        """Why an annotation is no case of the task, without being wrong; empty when it is one."""
        if self._task == "caption" or not isinstance(annotation, dict):
            return ""
        if annotation.get("iscrowd"):
            return "crowd"
        if not _is_instance(annotation) or _expressions(annotation):
            return ""
        several = self._instances[annotation["image_id"], annotation["category_id"]] > 1
        return "several instances of the category in the image" if several else ""

    def cases(self, annotation: Any, place: str) -> Iterator[Case]:
        """One for a caption or an instance; one for each expression. Raises CaseFault."""
        if not isinstance(annotation, dict):
            raise CaseFault("annotation cannot be read", f"it is {type(annotation).__name__}")
        identity = annotation.get("image_id")
        image = self._images.get(identity) if isinstance(identity, int | str) else None
        if image is None:
            raise CaseFault("no such image", f"image_id {identity!r}")
        name, group, size = clean_text(image.get("file_name"), "image"), self._group(image), _declared(image)
        if self._task == "caption":
            answers = clean_answers(annotation.get("caption"), self._max_words)
            yield Case(place, name, answers=answers, group=group, declared_size=size)
            return
        box, texts = _box(annotation), _expressions(annotation) or [self._category(annotation)]
        for i, text in enumerate(texts):
            question = within(clean_text(text, "expression"), "question", self._max_words)
            where = place if len(texts) == 1 else f"{place}-{i}"
            yield Case(where, name, question, box=box, group=group, declared_size=size)

    def _group(self, image: Entry) -> str | None:
        return clean_text(image.get(self._group_key), "group") if self._group_key else None

    def _category(self, annotation: Entry) -> object:
        identity = annotation.get("category_id")
        if not isinstance(identity, int | str) or identity not in self._names:
            raise CaseFault("no such category", f"category_id {identity!r}")
        return self._names[identity]


def _has_id(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("id"), int | str)


def _is_instance(annotation: Any) -> bool:
    return (
        isinstance(annotation, dict)
        and isinstance(annotation.get("image_id"), int | str)
        and isinstance(annotation.get("category_id"), int | str)
    )


def _declared(image: Entry) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) else None


def _expressions(annotation: Entry) -> list[Any]:
    written = annotation.get("expressions") or annotation.get("sentences") or []
    texts = written if isinstance(written, list) else [written]
    return [each.get("sent", each.get("raw")) if isinstance(each, dict) else each for each in texts]


def _box(annotation: Entry) -> Box:
    box = annotation.get("bbox")
    if box is None:
        raise CaseFault("no box")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        raise CaseFault("box is not four numbers", f"it is {box!r}")
    return corners([float(v) for v in box], "xywh")
