"""Training steps of a LLaVA shape with random weights: seconds, memory, tokens per second, share of the peak.

    python benchmarks/gpu/steps.py                     on a CPU: the shape `tiny`
    python benchmarks/gpu/steps.py --shape 7b          on a GPU: LLaVA-1.5-7B
    python benchmarks/gpu/steps.py --out DIR           where measured.json and measured.md go

Each case stands alone: the model is made anew, steps are done, the peak is read. On a CPU there is no peak to read;
what autograd keeps from the forward to the backward pass is counted instead.
"""

import argparse
import gc
import json
import platform
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pilot_cli.estimate.memory import Sample
from pilot_proto.llava import Llava, read_llava
from pilot_proto.training import Program, Training
from pilot_trainer.train import Learner

sys.path.insert(0, str(Path(__file__).parents[1]))
from gpu.flops import peak_flops, step_flops
from gpu.kept import kept_by_autograd
from gpu.subjects import TASKS, RandomFeatures, config_of, examples, learner, random_base
from gpu.table import markdown


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    program: Program
    gradient_checkpointing: bool = False
    features: str = "cached"
    micro_batch_size: str | int = "auto"


CASES = (
    Case("plain LoRA, one connector", "plain"),
    Case("stage 1", "stage-1"),
    Case("stage 2, CT-MoA", "stage-2"),
    Case("stage 2, checkpointing", "stage-2", gradient_checkpointing=True),
    Case("stage 2, features recomputed", "stage-2", features="recomputed"),
    Case("stage 2, one sample at a time", "stage-2", micro_batch_size=1),
)


@dataclass(frozen=True)
class Setting:
    """What all cases share."""

    shape: str
    batch: int
    steps: int
    sample: Sample
    precision: str
    device: str


def training_of(case: Case, setting: Setting) -> Training:
    """The settings of a case: the paper's, with LoRA scaled to the small shape."""
    lora = {} if setting.shape == "7b" else {"r": 8, "lora_alpha": 16}
    return Training.model_validate(
        {
            "num_train_epochs": 1000,
            "effective_batch_size": setting.batch,
            "micro_batch_size": case.micro_batch_size,
            "precision": setting.precision,
            "gradient_checkpointing": case.gradient_checkpointing,
            "lora": lora,
        }
    )


def measured(case: Case, setting: Setting) -> dict[str, Any]:
    """One case, done."""
    config, training = config_of(setting.shape), training_of(case, setting)
    llava, device = read_llava(config.to_dict()), torch.device(setting.device)
    base = random_base(config, setting.precision, device)
    samples = examples(llava, setting.batch, setting.sample.text_tokens, setting.sample.answer_tokens)
    recomputed = case.features == "recomputed"
    work = learner(base, case.program, training, samples, RandomFeatures(base, setting.batch, recomputed))
    micro = work.micro_size()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        kept = None
    else:
        kept = kept_by_autograd(work, micro)
    seconds = median(_timed(work, device) for _ in range(setting.steps))
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    flops = setting.batch * step_flops(llava, training, case.program, len(TASKS), setting.sample, encoding=recomputed)
    best = peak_flops(torch.cuda.get_device_name()) if device.type == "cuda" else None
    return {
        **asdict(case),
        "micro_batch_found": micro,
        "step_seconds": seconds,
        "tokens_per_second": setting.batch * setting.sample.tokens(llava, training.max_length) / seconds,
        "flops_per_step": flops,
        "share_of_peak": None if best is None else flops / seconds / best,
        "peak_bytes": peak,
        "kept_bytes": kept,
    }


def _timed(work: Learner, device: torch.device) -> float:
    if work.done == 0:
        work.step()
    began = time.perf_counter()
    work.step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure_all(setting: Setting) -> dict[str, Any]:
    """Every case, with what they were measured on."""
    rows = []
    for case in CASES:
        rows.append(measured(case, setting))
        gc.collect()
        if setting.device != "cpu":
            torch.cuda.empty_cache()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": torch.cuda.get_device_name() if setting.device != "cpu" else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "setting": asdict(setting),
        "model": Llava.model_validate(config_of(setting.shape).to_dict()).model_dump(mode="json"),
        "rows": rows,
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, write both files, print the table."""
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--shape", choices=("tiny", "7b"), default="7b" if cuda else "tiny")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--text-tokens", type=int, default=128)
    parser.add_argument("--answer-tokens", type=int, default=64)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16" if cuda else "fp32")
    parser.add_argument("--out", type=Path, default=Path("."))
    given = parser.parse_args(arguments)
    if given.shape == "7b" and not cuda:
        parser.error("the shape 7b needs a GPU, and this machine has none; use --shape tiny")
    if not cuda:
        torch.set_num_threads(1)
    sample = Sample(given.text_tokens, given.answer_tokens)
    setting = Setting(given.shape, given.batch, given.steps, sample, given.precision, "cuda" if cuda else "cpu")
    found = measure_all(setting)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "measured.json").write_text(json.dumps(found, indent=2) + "\n")
    (given.out / "measured.md").write_text(markdown(found))
    print(markdown(found))


if __name__ == "__main__":
    main()
