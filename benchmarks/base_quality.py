"""What the base model `digits-tiny` can do before any tuning: `python benchmarks/base_quality.py [FOLDER]`.

Generic queries about unseen handwriting (it was trained on such queries, not on this handwriting), and the clients'
three tasks, which it has never seen with a picture: those leave the range that tuning is to win.
"""

import sys
from pathlib import Path

import numpy as np
from pilot_data.boxes import iou, parse
from pilot_data.cider import cider_d
from pilot_digits.base.answering import BaseModel, generic_shares, held_out_queries
from pilot_digits.models import DIGITS_TINY
from pilot_digits.profiles import TASKS, TaskName
from pilot_digits.samples import Sample, Sizes, draw_federation

NUM_QUERIES = 3000
LONGEST_ANSWER: dict[TaskName, int] = {"vqa": 4, "caption": 24, "grounding": 12}


def zero_shot(model: BaseModel, task: TaskName, samples: list[Sample]) -> float:
    """Exact match in %, 10 x CIDEr-D, or IoU >= 0.5 in %: the scales of the result tables."""
    asked = [(sample.scene, sample.instruction) for sample in samples]
    answers = model.answers(asked, max_new_tokens=LONGEST_ANSWER[task])
    if task == "caption":
        return 10 * float(np.mean(cider_d(answers, [sample.references for sample in samples], "whitespace")))
    if task == "vqa":
        return 100 * float(np.mean([a == sample.answer for a, sample in zip(answers, samples, strict=True)]))
    return 100 * float(np.mean([_hits(a, sample.answer) for a, sample in zip(answers, samples, strict=True)]))


def _hits(answer: str, truth: str) -> bool:
    found, box = parse(answer), parse(truth)
    return found is not None and box is not None and iou(found, box) >= 0.5


def main() -> None:
    """Prints both tables."""
    model = BaseModel(Path(sys.argv[1]) if len(sys.argv) > 1 else DIGITS_TINY)
    queries = held_out_queries(NUM_QUERIES, seed=1, pool="test")
    print(f"generic queries, unseen handwriting ({NUM_QUERIES}): share exactly right")
    for kind, share in generic_shares(model, queries).items():
        print(f"  {kind:10s} {100 * share:5.1f} %")
    data = draw_federation("digits", seed=0, sizes=Sizes())
    print("tasks, zero-shot (100 test scenes of each of three clients)")
    for task in TASKS:
        samples = [sample for number in (1, 2, 3) for sample in data[f"{task}-{number}"]["test"]]
        print(f"  {task:10s} {zero_shot(model, task, samples):5.1f}")


if __name__ == "__main__":
    main()
