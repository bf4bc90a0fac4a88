"""How many records a second `pilot data validate` looks at, on one core, reading image headers but decoding nothing.

    python benchmarks/data_validate.py [--records 20000] [--json FILE]

Three folders: LLaVA-sized JPEGs, one for each record (as VQA data with one question per image, the worst case); the
same with five questions per image; boxes. Limit: 5,000 records per second for each. `header` is Pillow alone,
opening the same files.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from pilot_data.importing.description import Description, dataset_text
from pilot_data.inspection.job import inspect
from pilot_data.pictures import header_size

LIMIT = 5000
PICTURES = 50


def main() -> None:
    """Measure, print, and fail below the limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = jpegs(Path(folder))
        results = {
            "one question per image": measured(Path(folder, "one"), pictures, arguments.records, 1, None),
            "five questions per image": measured(Path(folder, "five"), pictures, arguments.records, 5, None),
            "boxes": measured(Path(folder, "boxes"), pictures, arguments.records, 1, "padded"),
            "header": headers(sorted(Path(folder, "one/images").iterdir())),
        }
    for name, rate in results.items():
        print(f"{name:<26} {rate:>9,.0f} records/s")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    slow = [name for name, rate in results.items() if rate < LIMIT]
    if slow:
        sys.exit(f"below {LIMIT} records/s: {', '.join(slow)}")


def jpegs(folder: Path) -> list[bytes]:
    """Photographs' sizes and kinds of content: noise that JPEG cannot shrink, 640 x 480."""
    made = []
    for number in range(PICTURES):
        path = folder / "picture.jpg"
        noise = Image.frombytes("RGB", (160, 120), random.Random(number).randbytes(160 * 120 * 3))
        noise.resize((640, 480)).save(path, quality=80)
        made.append(path.read_bytes())
    return made


def measured(folder: Path, pictures: list[bytes], records: int, per_image: int, frame: str | None) -> float:
    """Records per second of CPU time of this one thread, files in the page cache."""
    write(folder, pictures, records, per_image, frame)
    started = time.process_time()
    found = inspect([folder], header_size, lambda *_: None)
    took = time.process_time() - started
    split = found.folders[0].folder.splits[0]
    assert (split.records, len(split.bad)) == (records, 0)
    return records / took


def write(folder: Path, pictures: list[bytes], records: int, per_image: int, frame: str | None) -> None:
    """A folder as an import makes it, with only a train split."""
    (folder / "images").mkdir(parents=True)
    for number in range(-(-records // per_image)):
        # A few more bytes at the end make every file another one, of one length in many.
        tail = number.to_bytes(4, "big")
        (folder / f"images/{number:06}.jpg").write_bytes(pictures[number % PICTURES] + tail)
    rows = [record(number, per_image, frame) for number in range(records)]
    (folder / "train.json").write_text(json.dumps(rows))
    metric = "iou" if frame else "exact-match"
    described = Description("bench", "vqa", metric, 16, frame, ["train"])  # type: ignore[arg-type]
    (folder / "dataset.yaml").write_text(dataset_text(described, "bench"))


def record(number: int, per_image: int, frame: str | None) -> dict[str, object]:
    """One LLaVA record with a question of twelve words."""
    answer = "[0.25, 0.30, 0.50, 0.70]" if frame else f"answer {number % 300}"
    question = f"<image>\nwhat is shown at place {number} ?\nAnswer the question using a single word or phrase."
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"id": str(number), "image": f"images/{number // per_image:06}.jpg", "conversations": turns}


def headers(images: list[Path]) -> float:
    """Images per second that Pillow opens."""
    started = time.process_time()
    for image in images:
        header_size(image)
    return len(images) / (time.process_time() - started)


if __name__ == "__main__":
    main()
