"""Vision features of a client's images: computed by the frozen encoder, kept in the state volume where they fit.

The cache is a folder of safetensors shards, named by what they depend on: the base model, the images' bytes and the
precision. Images are encoded in fixed groups in the data's order, so a cache that one process began and another
finished holds the same bits as one made in one go.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pilot_data.dataset import images_digest
from pilot_model.encoder import Encoder, Features
from pilot_model.model import Base
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)

SHARD_IMAGES = 64
_TENSOR = "features"


class Cache:
    """Features read from shards."""

    def __init__(self, folder: Path, images: Sequence[Path], device: torch.device) -> None:
        self._place = {image: divmod(i, SHARD_IMAGES) for i, image in enumerate(images)}
        self._device = device
        self._shards: list[Any] = [_opened(_shard(folder, i)) for i in range(_num_shards(images))]

    def __call__(self, images: Sequence[Path]) -> Tensor:
        places = [self._place[image] for image in images]
        return torch.stack([self._shards[shard][row] for shard, row in places]).to(self._device)


def _opened(shard: Path) -> Any:
    file: Any = safe_open(shard, framework="pt")
    return file.get_slice(_TENSOR)


def features_for(
    base: Base, images: Sequence[Path], folder: Path, max_bytes: int, check: Callable[[], None]
) -> Features:
    """Cached features when `max_bytes` and the volume allow, otherwise computed ones; the log says which and why.

    `check` is called between shards and may raise to stop.
    """
    encoder = Encoder(base)
    unique = list(dict.fromkeys(images))
    needed = len(unique) * base.num_image_tokens * base.visual_width * encoder.dtype.itemsize
    if not unique or not _fits(needed, max_bytes, folder):
        return encoder
    key = hashlib.sha256(f"{base.digest} {images_digest(unique)} {encoder.dtype}".encode()).hexdigest()[:32]
    _make_room(folder, key, max_bytes - needed)
    try:
        _fill(folder / key, encoder, unique, check)
        return Cache(folder / key, unique, base.device)
    except OSError as error:
        # What was written would only stand in the way of checkpoints and results.
        shutil.rmtree(folder / key, ignore_errors=True)
        log.warning("feature cache off", extra={"reason": f"the state volume refused: {error}"})
        return encoder


def _fits(needed: int, max_bytes: int, folder: Path) -> bool:
    if needed > max_bytes:
        reason = f"{needed} bytes of features, max_bytes is {max_bytes}"
    else:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        # Half of what is left stays for checkpoints and results.
        reason = f"{needed} bytes of features, {free} bytes free" if needed > free // 2 else ""
    if reason:
        log.warning("feature cache off", extra={"reason": reason})
    return not reason


def _fill(folder: Path, encoder: Encoder, images: Sequence[Path], check: Callable[[], None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for i in range(_num_shards(images)):
        if _shard(folder, i).exists():
            continue
        check()
        features = encoder(images[i * SHARD_IMAGES : (i + 1) * SHARD_IMAGES]).cpu().contiguous()
        part = folder / f".{i}.{os.getpid()}.part"
        save_file({_TENSOR: features}, part)
        part.replace(_shard(folder, i))


def _make_room(folder: Path, key: str, allowed: int) -> None:
    """Delete the longest unused caches of other data until the rest takes at most `allowed` bytes."""
    others = sorted((f for f in folder.iterdir() if f.name != key), key=lambda f: f.stat().st_mtime)
    sizes = {f: sum(part.stat().st_size for part in f.iterdir()) for f in others}
    for other in others:
        if sum(sizes.values()) <= allowed:
            return
        shutil.rmtree(other, ignore_errors=True)
        del sizes[other]


def _num_shards(images: Sequence[Path]) -> int:
    return -(-len(images) // SHARD_IMAGES)


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.safetensors"
