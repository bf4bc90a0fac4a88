"""COCO files, read and told from what they are not."""

import json
from pathlib import Path

from pilot_data.errors import DataError
from pilot_data.importing.coco import Entry
from pilot_data.importing.tables import read_text


def read_coco(file: Path) -> Entry:
    """A COCO document. Raises DataError when it is no JSON, or not of that form."""
    try:
        document = json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}", "rows of JSON objects belong in a .jsonl file") from error
    if isinstance(document, list):
        raise DataError(
            f"{file} holds a list; COCO is an object with images and annotations",
            "write one object per line to a .jsonl file; a LLaVA file needs no import, only a dataset.yaml",
        )
    for key in ("images", "annotations"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(f"{file} has no list {key!r}", "COCO files have images and annotations, by image_id")
    found: Entry = document
    if not found["annotations"]:
        raise DataError(f"{file} has no annotations", "the test files of COCO have none: take train or val")
    return found
