"""`pilot estimate` against a measurement: the relative error of the memory of every case.

    python benchmarks/gpu/check.py measured.json [--within 0.15]

Ends with 1 when a case is further off than `--within`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pilot_cli.estimate.memory import RUNTIME_BYTES, Sample, kept_bytes, memory
from pilot_proto.llava import Llava
from pilot_proto.training import Training

TASKS = 3


def estimated(found: dict[str, Any], row: dict[str, Any]) -> tuple[int, int]:
    """(estimated, measured) bytes: of the peak on a GPU, of what autograd keeps on a CPU."""
    setting, llava = found["setting"], Llava.model_validate(found["model"])
    sample = Sample(**setting["sample"])
    training = Training.model_validate(
        {
            "effective_batch_size": setting["batch"],
            "precision": setting["precision"],
            "gradient_checkpointing": row["gradient_checkpointing"],
            "lora": {} if setting["shape"] == "7b" else {"r": 8, "lora_alpha": 16},
        }
    )
    micro = row["micro_batch_found"]
    if row["peak_bytes"] is not None:
        need = memory(llava, training, row["program"], TASKS, sample)
        return need.total(micro) - RUNTIME_BYTES, row["peak_bytes"]
    one = kept_bytes(llava, training, row["program"], TASKS, sample, mask_bytes=4)
    if row["gradient_checkpointing"]:
        # Autograd keeps the layers' inputs only; the layer that is computed again comes later.
        one = kept_bytes(llava, training, row["program"], TASKS, sample, mask_bytes=4, recomputing=False)
    return micro * one, row["kept_bytes"]


def main(arguments: list[str] | None = None) -> int:
    """Print every case; 1 when one is too far off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("measurement", type=Path)
    parser.add_argument("--within", type=float, default=0.15)
    given = parser.parse_args(arguments)
    found = json.loads(given.measurement.read_text())
    worst = 0.0
    for row in found["rows"]:
        guess, truth = estimated(found, row)
        worst = max(worst, abs(guess / truth - 1))
        print(f"{row['name']}: estimated {guess / 1e6:.2f} MB, measured {truth / 1e6:.2f} MB: {guess / truth - 1:+.1%}")
    print(f"worst {worst:.1%}, allowed {given.within:.0%}")
    return int(worst > given.within)


if __name__ == "__main__":
    sys.exit(main())
