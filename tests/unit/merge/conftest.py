"""Adapters in files, written by the safetensors library."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

Tensors = Mapping[str, np.ndarray]
Save = Callable[..., Path]
LIBRARY_DTYPE = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64"}


def stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """The numbers in a precision; bfloat16 by cutting float32 short."""
    if dtype == "BF16":
        return (values.astype("<f4").view(np.uint32) >> 16).astype("<u2")
    return np.ascontiguousarray(values, {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[dtype])


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(name: str, tensors: Tensors, dtype: str = "F32", metadata: Mapping[str, str] | None = None) -> Path:
        path = tmp_path / f"{name}.safetensors"
        kept = {tensor: stored(values, dtype) for tensor, values in tensors.items()}
        described = {
            tensor: safetensors.TensorSpec(
                dtype=LIBRARY_DTYPE[dtype],
                shape=tensors[tensor].shape,
                data_ptr=data.ctypes.data,
                data_len=data.nbytes,
            )
            for tensor, data in kept.items()
        }
        safetensors.serialize_file(described, str(path), dict(metadata or {"format": "pt"}))
        return path

    return write


@pytest.fixture
def load() -> Callable[[Path], Tensors]:
    def read(path: Path) -> Tensors:
        return dict(load_file(path))

    return read


@pytest.fixture
def lora() -> Callable[[int], dict[str, np.ndarray]]:
    """A LoRA adapter of two modules, rank 2, in peft's names; each seed another one."""

    def make(seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        shapes = {
            f"base_model.model.layers.{layer}.q_proj.lora_{half}.weight": shape
            for layer in range(2)
            for half, shape in (("A", (2, 37)), ("B", (53, 2)))
        }
        return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    return make
