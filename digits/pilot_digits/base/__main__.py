"""`python -m pilot_digits.base [--out FOLDER]`: makes the base model `digits-tiny`."""

import argparse
import logging
from pathlib import Path

import torch

from pilot_digits.base.architecture import grey_model, parameter_counts, three_channels
from pilot_digits.base.pretraining import Recipe, pretrain
from pilot_digits.base.processor import build_processor
from pilot_digits.models import DIGITS_TINY

log = logging.getLogger("pilot_digits.base")


def main() -> None:
    """Trains on one thread, so that the sums of a step always have the same order."""
    parser = argparse.ArgumentParser(prog="python -m pilot_digits.base", description="Make digits-tiny.")
    parser.add_argument("--out", type=Path, default=DIGITS_TINY, help="folder to write (default: the shipped one)")
    out: Path = parser.parse_args().out
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    recipe = Recipe()
    torch.manual_seed(recipe.seed)
    grey = grey_model()
    pretrain(grey, recipe)
    model = three_channels(grey)
    model.save_pretrained(out)
    build_processor().save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)  # safetensors writes 0600, and a wheel would keep it
    log.info("saved %s in %s", parameter_counts(model), out)


main()
