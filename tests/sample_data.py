"""Data as people have them, made small and always the same: questions, captions, and boxes in two forms.

    FOLDER/cases.csv        patient,image,question,answer     each patient has two images with two questions each
           figures.jsonl    {"image", "captions": [text, ...]}
           instances.json   COCO instances: digits as categories, one crowd
           boxes.csv        image,expression,x,y,w,h         in pixels, one box of an image
           images/*.png

The images are digit scenes (32 x 32 pixels), so that the shipped base model can be tuned on them.
"""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image
from pilot_digits.handwriting import pools
from pilot_digits.profiles import Profile, TaskName, profiles
from pilot_digits.questions import ask
from pilot_digits.samples import draw_sample
from pilot_digits.scenes import Scene, draw_scene
from pilot_digits.vocabulary import DIGIT_WORDS

IMAGES_PER_PATIENT = QUESTIONS_PER_IMAGE = 2


def write_all(folder: Path, count: int = 40) -> None:
    """All files, with `count` patients, figures and pictures."""
    write_vqa_csv(folder, count)
    write_caption_jsonl(folder, count)
    write_coco_instances(folder, count)
    write_box_csv(folder, count)


def write_vqa_csv(folder: Path, patients: int = 40) -> Path:
    """`cases.csv`, to be grouped by patient."""
    rng, profile = np.random.default_rng(1), _profile("vqa")
    file = folder / "cases.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["patient", "image", "question", "answer"])
        for patient in range(patients):
            for number in range(IMAGES_PER_PATIENT):
                scene = _scene(rng, profile)
                image = _save(folder, f"scan-{patient:03}-{number}.png", scene)
                asked: dict[str, str] = {}
                while len(asked) < QUESTIONS_PER_IMAGE:
                    question, answer = ask(rng, scene.digits, profile.mix)
                    asked[question] = answer
                rows.writerows([f"p{patient:03}", image, *each] for each in asked.items())
    return file


def write_caption_jsonl(folder: Path, images: int = 40) -> Path:
    """`figures.jsonl`, five captions to each image."""
    rng, profile = np.random.default_rng(2), _profile("caption")
    lines = []
    for number in range(images):
        sample = draw_sample(rng, pools()["train"], profile)
        image = _save(folder, f"figure-{number:03}.png", sample.scene)
        lines.append(json.dumps({"image": image, "captions": list(sample.references)}))
    file = folder / "figures.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_coco_instances(folder: Path, images: int = 40) -> Path:
    """`instances.json`; its first annotation is a crowd, which no import can use."""
    rng, profile = np.random.default_rng(3), _profile("grounding")
    entries, annotations = [], []
    for number in range(images):
        scene = _scene(rng, profile)
        name = _save(folder, f"picture-{number:03}.png", scene)
        entries.append({"id": number, "file_name": name, "width": 32, "height": 32})
        if number == 0:
            annotations.append({"id": 0, "image_id": 0, "category_id": 1, "bbox": [0, 0, 32, 32], "iscrowd": 1})
        for digit in scene.digits:
            box = [digit.left, digit.top, digit.right - digit.left, digit.bottom - digit.top]
            identity = len(annotations) + 1
            annotations.append({"id": identity, "image_id": number, "category_id": digit.number + 1, "bbox": box})
    categories = [{"id": number + 1, "name": word} for number, word in enumerate(DIGIT_WORDS)]
    file = folder / "instances.json"
    document = {"images": entries, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


def write_box_csv(folder: Path, images: int = 40) -> Path:
    """`boxes.csv`, one digit of each image."""
    rng, profile = np.random.default_rng(4), _profile("grounding")
    file = folder / "boxes.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["image", "expression", "x", "y", "w", "h"])
        for number in range(images):
            scene = _scene(rng, profile)
            digit = scene.digits[0]
            size = (digit.right - digit.left, digit.bottom - digit.top)
            image = _save(folder, f"box-{number:03}.png", scene)
            rows.writerow([image, f"the {DIGIT_WORDS[digit.number]}", digit.left, digit.top, *size])
    return file


def _profile(task: TaskName) -> Profile:
    return next(profile for profile in profiles("digits", 0) if profile.task == task)


def _scene(rng: np.random.Generator, profile: Profile) -> Scene:
    return draw_scene(rng, pools()["train"], profile.look)


def _save(folder: Path, name: str, scene: Scene) -> str:
    """The path to write into a file: relative to `folder`."""
    (folder / "images").mkdir(exist_ok=True)
    Image.fromarray(scene.pixels).save(folder / "images" / name)
    return f"images/{name}"
