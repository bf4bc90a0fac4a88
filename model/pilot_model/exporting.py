"""From parts to an exported folder."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, LlavaForConditionalGeneration

from pilot_model.card import card, is_stock
from pilot_model.document import CONNECTOR_FILE, TEXT_FOLDER, Personal
from pilot_model.errors import FolderError
from pilot_model.folder import being_written, describe
from pilot_model.lora import TextAdapter, adapter_config
from pilot_model.model import Base, check_layout, load_base
from pilot_model.parts import under
from pilot_model.personal import Parts

PROCESSOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
SHARD_SIZE = "5GB"
_METADATA = {"format": "pt"}
# In the block of metadata that a card on the Hugging Face Hub begins with.
_LICENCE = re.compile(r"---\n(?:(?!---).*\n)*?license:[ \t]*['\"]?([\w.+-]+)")


def export(personal: Personal, parts: Parts, base_dir: Path, out: Path) -> Personal:
    """Write a personal model to `out`; `personal` says what it is, its `files` are filled in.

    Raises FolderError when `out` is taken or the disk is too small, ModelError for a base that is none, and
    DoesNotFit when the parts belong to another.
    """
    check_layout(base_dir)
    if personal.text == "folded":
        place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
        check_room(folded_bytes(base_dir, personal.precision), shutil.disk_usage(place).free, place)
    with being_written(out) as draft:
        save_file(dict(sorted(parts.connector.items())), draft / CONNECTOR_FILE, metadata=_METADATA)
        for name in PROCESSOR_FILES:
            if (base_dir / name).is_file():
                shutil.copyfile(base_dir / name, draft / name)
        if personal.text == "folded":
            base = load_base(base_dir, personal.precision, torch.device("cpu"), digest=personal.base.digest)
            _write_folded(parts, base, draft, with_projector=is_stock(personal))
        else:
            _write_adapter(personal, parts, draft / TEXT_FOLDER)
        return describe(draft, personal, card(personal, licence_of(base_dir)))


def _write_adapter(personal: Personal, parts: Parts, folder: Path) -> None:
    folder.mkdir()
    save_file(dict(sorted(parts.text.items())), folder / ADAPTER_FILE["text"], metadata=_METADATA)
    config = adapter_config(personal.lora, personal.base.name)
    (folder / CONFIG_FILE["text"]).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _write_folded(parts: Parts, base: Base, folder: Path, *, with_projector: bool) -> None:
    """The whole model as transformers lays it out; one connector that is LLaVA's own form is its projector too."""
    adapter = TextAdapter(base.llava, parts.lora)
    adapter.load(parts.text)
    adapter.fold()
    if with_projector:
        base.llava.model.multi_modal_projector.load_state_dict(under("task", parts.connector))
    else:
        base.llava.model.multi_modal_projector = nn.Identity()
    base.llava.save_pretrained(folder, max_shard_size=SHARD_SIZE)


def folded_bytes(base_dir: Path, precision: str) -> int:
    """The size of the base's weights in a precision, without loading them."""
    with torch.device("meta"):
        model: Any = LlavaForConditionalGeneration(AutoConfig.from_pretrained(base_dir, local_files_only=True))
    count: int = sum(p.numel() for p in model.parameters())
    return count * (2 if precision == "bf16" else 4)


def check_room(wanted: int, free: int, place: Path) -> None:
    """Raise FolderError when bytes are wanted that a disk has not free."""
    if wanted > free:
        raise FolderError(
            f"a model with the LoRA folded in takes {wanted / 1e9:.1f} GB, and {place} has {free / 1e9:.1f} GB free; "
            "choose another disk, or export without --merge-lora"
        )


def licence_of(base_dir: Path) -> str | None:
    """The licence that the base model's own card names, if it has one."""
    file = base_dir / "README.md"
    found = _LICENCE.match(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else None
    return found.group(1) if found else None
