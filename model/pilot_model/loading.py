"""From an exported folder to a model that answers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pilot_proto.training import Quantization
from transformers.utils import logging as transformers_logging

from pilot_model.answering import MAX_NEW_TOKENS
from pilot_model.document import BaseReference, Personal
from pilot_model.errors import FolderError, ModelError
from pilot_model.folder import read_folder
from pilot_model.model import load_base, model_digest
from pilot_model.personal import personalised
from pilot_model.processor import PersonalProcessor

BASE_VARIABLE = "PILOT_BASE_MODEL"
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16"}


def load(
    folder: Path | str,
    base: Path | str | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    quantization: Quantization | None = None,
    verify: bool = True,
) -> tuple[Any, PersonalProcessor]:
    """A personal model and its processor; `model.generate(**processor(images=..., text=..., return_tensors="pt"))`.

    base: the base model's folder; else `PILOT_BASE_MODEL`, else where it was at export. Not needed when the LoRA was
        folded in.
    device: default a GPU if there is one.
    dtype: float32 or bfloat16; default what it was trained in.
    quantization: of the base; default what it was trained with, and none where the LoRA was folded in.
    verify: compare the digests of the folder and of the base first.

    Raises FolderError for a folder that is not what was exported, ModelError for another base.
    """
    folder = Path(folder)
    personal, parts = read_folder(folder, verify=verify)
    precision = _precision(personal, dtype)
    place = folder
    if personal.text == "adapter":
        place = find_base(personal.base, base)
        if verify:
            check_base(place, personal.base)
    target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with _without_load_report():
        loaded = load_base(
            place,
            precision,
            target,
            quantization=quantization or (personal.base_quantization if personal.text == "adapter" else "none"),
            digest=personal.base.digest,
            with_projector=False,
        )
    model = personalised(loaded, parts)
    processor = PersonalProcessor.of_folder(folder)
    answer_greedily(model, processor, personal.max_new_tokens)
    return model, processor


@contextmanager
def _without_load_report() -> Iterator[None]:
    # It would complain of the projector that our connector is about to replace.
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def answer_greedily(model: Any, processor: PersonalProcessor, max_new_tokens: int | None) -> None:
    """Make `generate` answer as the client's evaluation does, unless it is told otherwise: greedily, to its limit."""
    wanted = {
        "do_sample": False,
        "num_beams": 1,
        "temperature": None,
        "top_p": None,
        "top_k": None,
        "max_length": None,
        "max_new_tokens": max_new_tokens or MAX_NEW_TOKENS,
        "pad_token_id": processor.tokenizer.pad_token_id,
    }
    model.generation_config.update(**wanted)


def find_base(reference: BaseReference, given: Path | str | None) -> Path:
    """The base model's folder. Raises ModelError saying how to name it when it is nowhere."""
    named = given or os.environ.get(BASE_VARIABLE)
    place = Path(named or reference.path)
    if not place.is_dir():
        raise ModelError(
            f"the base model {reference.name} is not at {place}; say where it is: load(..., base=FOLDER) or "
            f"{BASE_VARIABLE}. It is the one with the digest {reference.digest}"
        )
    return place


def check_base(place: Path, reference: BaseReference) -> None:
    """Raise ModelError unless the folder holds the very base that was tuned."""
    found = model_digest(place)
    if found != reference.digest:
        raise ModelError(
            f"{place} has the digest {found}, and the personal model was tuned on {reference.name} with "
            f"{reference.digest}; take the same files (their names count too), or load with verify=False"
        )


def _precision(personal: Personal, dtype: torch.dtype | None) -> str:
    if dtype is None:
        return personal.precision
    if dtype not in _PRECISIONS:
        raise FolderError(f"dtype {dtype} is not offered; use torch.bfloat16 or torch.float32")
    return _PRECISIONS[dtype]
