"""How much a stage-2 step costs against a stage-1 step, and the difference loss against its C x C form.

    python benchmarks/trainer_steps.py [--steps 60] [--tokens 576] [--width 4096]

Ratios of medians, interleaved in one run on one thread. Targets: a stage-2 step at most 1.25 x a stage-1 step on
digits-tiny; the identity through N x N Grams faster than the direct product.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from accelerate import Accelerator
from pilot_data.dataset import read_description
from pilot_digits.federation import write_federation
from pilot_digits.models import DIGITS_TINY
from pilot_digits.samples import Sizes
from pilot_model.conversation import Chat
from pilot_model.generate import pad_token
from pilot_model.lora import TextAdapter
from pilot_model.model import load_base
from pilot_model.parts import Sources
from pilot_proto.training import DifferenceForm, Program, Training
from pilot_trainer import losses
from pilot_trainer.examples import training_data
from pilot_trainer.features import features_for
from pilot_trainer.initial import start_of_training
from pilot_trainer.student import Student
from pilot_trainer.train import Learner

TASKS = ("caption", "grounding", "vqa")
SETTINGS = Training.model_validate(
    {
        "num_train_epochs": 1000,
        "effective_batch_size": 8,
        "max_length": 128,
        "lora": {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0},
        "precision": "fp32",
    }
)


def learner(program: Program, data: Path, cache: Path) -> Learner:
    """A learner on one client's digits, as in the demo."""
    base = load_base(DIGITS_TINY, "fp32", torch.device("cpu"))
    adapter = TextAdapter(base.llava, SETTINGS.lora)
    adapter.load(adapter.start(0))
    private = {f"{branch}.{name}": t for branch in ("task", "client") for name, t in base.psi_0.items()}
    sources = Sources(base.psi_0, base.psi_0, dict.fromkeys(TASKS, base.psi_0), private if program == "stage-2" else {})
    base.use(start_of_training(program, "vqa", sources, SETTINGS.connector, base.act, 0))
    chat = Chat(base.processor, base.image_token, base.num_image_tokens)
    examples = training_data(data, read_description(data), chat, SETTINGS.max_length).examples
    features = features_for(base, [e.image for e in examples if e.image], cache, 1 << 30, lambda: None)
    student = Student(base.llava, SETTINGS.losses).train()
    return Learner(Accelerator(), student, program, SETTINGS, examples, features, pad_token(base), 0)


def interleaved(first: Callable[[], None], second: Callable[[], None], times: int) -> tuple[float, float]:
    """Median seconds of each, taken in turns so that both meet the same weather."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for i in range(times + 3):
        for k, work in enumerate((first, second)):
            began = time.perf_counter()
            work()
            if i >= 3:
                seconds[k].append(time.perf_counter() - began)
    return median(seconds[0]), median(seconds[1])


def steps(times: int) -> None:
    """Stage 2 against stage 1."""
    with tempfile.TemporaryDirectory() as folder:
        write_federation("digits", Path(folder), sizes=Sizes(train=64, val=1, test=1))
        data, cache = Path(folder, "data", "vqa-1"), Path(folder, "features")
        one, two = (learner(program, data, cache) for program in ("stage-1", "stage-2"))
        first, second = interleaved(one.step, two.step, times)
    print(
        f"stage-1 step {first * 1e3:.1f} ms, stage-2 step {second * 1e3:.1f} ms: {second / first:.2f} x (target 1.25)"
    )


def difference(tokens: int, width: int) -> None:
    """The identity against the direct product, forward and backward."""
    x = torch.randn(1, tokens, width, requires_grad=True)
    s = torch.randn(1, tokens, width, requires_grad=True)

    def identity() -> None:
        torch.autograd.backward(losses.difference(x, s, DifferenceForm()))

    def direct() -> None:
        X, S = (torch.nn.functional.normalize(v - v.mean(-2, keepdim=True), dim=-1) for v in (x, s))
        torch.autograd.backward((X.mT @ S).square().sum() / tokens**2)

    fast, slow = interleaved(identity, direct, 3)
    print(f"difference loss at N={tokens}, C={width}: identity {fast:.3f} s, direct {slow:.3f} s: {slow / fast:.1f} x")


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=576)
    parser.add_argument("--width", type=int, default=4096)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    steps(arguments.steps)
    difference(arguments.tokens, arguments.width)


if __name__ == "__main__":
    main()
