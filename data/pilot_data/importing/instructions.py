"""What the model is asked and what it should say: prompts by task, boxes as text, LLaVA records. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pilot_proto.conversation import IMAGE

from pilot_data import boxes
from pilot_data.boxes import Box, Frame
from pilot_data.errors import DataError
from pilot_data.importing.cases import Case, CaseFault, TaskKind
from pilot_data.records import Size

BoxUnits = Literal["pixels", "relative"]
QUESTION = "{question}"

# Those that LLaVA-1.5 was trained with.
PROMPTS: Mapping[TaskKind, str] = {
    "vqa": "{question}\nAnswer the question using a single word or phrase.",
    "caption": "Provide a one-sentence caption for the provided image.",
    "grounding": "Please provide the bounding box coordinate of the region this sentence describes: {question}",
}
METRICS: Mapping[TaskKind, str] = {"vqa": "exact-match", "caption": "cider", "grounding": "iou"}
TOLERANCE = 0.01


@dataclass(frozen=True)
class Pictured:
    """A case whose image is known to be sound."""

    case: Case
    image: str
    """Its path in the new folder."""


def check_prompt(prompt: str, task: TaskKind) -> None:
    """Raise DataError when a prompt has no place for the question, or a second image."""
    wanted = 0 if task == "caption" else 1
    if prompt.count(QUESTION) != wanted:
        times = "once" if wanted else "nowhere: captions have no question"
        raise DataError(
            f"--prompt {prompt!r}: {QUESTION} must stand in it {times}", f"the default is {PROMPTS[task]!r}"
        )
    if IMAGE in prompt:
        raise DataError(f"--prompt {prompt!r} holds {IMAGE}", "leave it out: the import puts it first")


def box_text(box: Box, size: Size, units: BoxUnits, frame: Frame) -> str:
    """A box as the model writes it: four shares of the frame with two decimals.

    Raises CaseFault when it lies outside the image, is smaller than a pixel, or vanishes in two decimals.
    """
    width, height = size
    shown = f"{[round(v, 4) for v in box]} {units}, image {width}x{height}"
    x1, y1, x2, y2 = box
    shares = box if units == "relative" else (x1 / width, y1 / height, x2 / width, y2 / height)
    if units == "pixels" and x2 - x1 < 1 and y2 - y1 < 1:
        raise CaseFault("box smaller than a pixel", shown)
    if not boxes.inside(shares, width, height, "original", TOLERANCE):
        raise CaseFault("box outside the image", shown)
    a, b, c, d = (min(max(v, 0.0), 1.0) for v in shares)
    framed = boxes.to_padded((a, b, c, d), width, height) if frame == "padded" else (a, b, c, d)
    x1, y1, x2, y2 = (round(v, 2) for v in framed)
    if not (x1 < x2 and y1 < y2):
        raise CaseFault("box too small for two decimals", shown)
    return f"[{x1:.2f}, {y1:.2f}, {x2:.2f}, {y2:.2f}]"


def records(cases: Sequence[Pictured], prompt: str, *, training: bool) -> Iterator[dict[str, Any]]:
    """LLaVA records, in order.

    For training, every right answer is a record of its own. Otherwise there is one record for each question about an
    image, and it names all right answers as its references.
    """
    if not training:
        cases = _one_per_question(cases)
    for each in cases:
        case = each.case
        answers = case.answers if training else case.answers[:1]
        for i, answer in enumerate(answers):
            identity = case.place if len(answers) == 1 else f"{case.place}-{i}"
            record = _record(identity, each.image, prompt.replace(QUESTION, case.question), answer)
            yield record if training or len(case.answers) == 1 else {**record, "references": list(case.answers)}


def _one_per_question(cases: Sequence[Pictured]) -> list[Pictured]:
    """Captions of one image belong together; so do answers to one question about it, and boxes never do."""
    merged: dict[tuple[str, str, object], Pictured] = {}
    for each in cases:
        key = (each.image, each.case.question, each.case.box)
        first = merged.setdefault(key, each)
        if first is not each:
            answers = tuple(dict.fromkeys((*first.case.answers, *each.case.answers)))
            merged[key] = Pictured(replace(first.case, answers=answers), first.image)
    return list(merged.values())


def _record(identity: str, image: str, question: str, answer: str) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"{IMAGE}\n{question}"}, {"from": "gpt", "value": answer}]
    return {"id": identity, "image": image, "conversations": turns}


def max_new_tokens(longest_words: int) -> int:
    """Room for an answer as long as the longest, in tokens: three for a word of a rare kind, and an end mark."""
    return max(16, 3 * longest_words + 1)
