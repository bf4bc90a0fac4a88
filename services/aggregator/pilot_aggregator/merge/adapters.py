"""Adapters on disk as people keep them: folders in PEFT's layout, or single safetensors files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_aggregator.merge.errors import MergeRefused

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
AGREE_ON = (
    "peft_type",
    "base_model_name_or_path",
    "r",
    "lora_alpha",
    "target_modules",
    "use_rslora",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "bias",
)
"""The settings under which the same numbers mean the same function."""


@dataclass(frozen=True)
class Adapter:
    """One adapter: its name, its tensors, and for a folder its configuration as written."""

    name: str
    tensors: Path
    config: bytes | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that adapters of one merge agree on; empty for a single file."""
        if self.config is None:
            return {}
        try:
            written = json.loads(self.config)
        except ValueError as error:
            raise MergeRefused(f"{self.name!r}: {CONFIG} is not JSON: {error}") from error
        return {key: _comparable(written.get(key)) for key in AGREE_ON}


def found_at(sources: Sequence[Path]) -> list[Adapter]:
    """The adapters at some paths, in the order given, named after their folders or files; names are made unique.

    Raises:
        MergeRefused: a path that holds no adapter, or adapters that do not agree on what their numbers mean.
    """
    names = _unique([_name(source) for source in sources])
    adapters = [_adapter(name, source) for name, source in zip(names, sources, strict=True)]
    for adapter in adapters:
        _refuse_other_settings(adapters[0], adapter)
    return adapters


def scaling_of(adapter: Adapter) -> float:
    """What the product of the LoRA factors is multiplied by: alpha / r, or alpha / sqrt(r); 1 where it is unknown."""
    r, alpha = adapter.settings.get("r"), adapter.settings.get("lora_alpha")
    if not r or not alpha:
        return 1.0
    return float(alpha) / (float(r) ** 0.5 if adapter.settings.get("use_rslora") else float(r))


def _adapter(name: str, source: Path) -> Adapter:
    if source.is_file():
        return Adapter(name, source)
    if not source.is_dir():
        raise MergeRefused(f"{source} does not exist; give PEFT folders or safetensors files")
    for needed in (CONFIG, TENSORS):
        if not (source / needed).is_file():
            raise MergeRefused(f"{source} has no {needed}; give a folder that peft's save_pretrained wrote")
    return Adapter(name, source / TENSORS, (source / CONFIG).read_bytes())


def _name(source: Path) -> str:
    resolved = source.resolve()
    return resolved.stem if resolved.is_file() else resolved.name


def _unique(names: Sequence[str]) -> list[str]:
    taken: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken or (candidate != name and candidate in names):
            number += 1
            candidate = f"{name}-{number}"
        taken.append(candidate)
    return taken


def _refuse_other_settings(one: Adapter, other: Adapter) -> None:
    if (one.config is None) != (other.config is None):
        raise MergeRefused(
            f"{one.name!r} and {other.name!r}: one has an {CONFIG} and one has not; give all the same way"
        )
    for key, value in other.settings.items():
        if value != one.settings[key]:
            raise MergeRefused(
                f"{key} is {_shown(value)} in {other.name!r} and {_shown(one.settings[key])} in {one.name!r}; "
                "merge adapters of one base model and one LoRA configuration"
            )


def _comparable(value: Any) -> Any:
    # peft writes target_modules from a set, in no particular order.
    if isinstance(value, list):
        return sorted(value, key=str)
    return value or None


def _shown(value: Any) -> str:
    return "absent" if value is None else json.dumps(value)
