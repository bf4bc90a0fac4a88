"""Writes a digits federation to disk: data, model, `federation.yaml` and run files.

    DIRECTORY/federation.yaml  run.yaml  run-local.yaml  run-fedavg.yaml
              models/digits-tiny/                          the base model, in the Hugging Face LLaVA layout
              data/vqa-1/dataset.yaml  train.json  val.json  test.json  images/*.png        and the others

The same arguments give the same bytes. Writing again changes nothing on disk, so a caller need not ask whether it
has been done; what a write with other arguments left is replaced, and pictures that no record names are removed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from pilot_digits.documents import (
    data_path,
    dataset_yaml,
    federation_yaml,
    image_path,
    picture,
    record_id,
    records,
)
from pilot_digits.models import DIGITS_TINY
from pilot_digits.profiles import FEDERATIONS, FederationName, Profile, profiles
from pilot_digits.runs import RUN_FILES, run_yaml
from pilot_digits.samples import ClientData, Sizes, draw_federation

MODEL_PATH = "models/digits-tiny"


def write_federation(
    name: FederationName,
    directory: Path,
    *,
    seed: int = 0,
    sizes: Sizes = Sizes(),
) -> Path:
    """Writes federation `name` into `directory` and returns the path of its `federation.yaml`.

    `seed` moves the scenes, the sizes and the skews; the handwriting pools never move.

    Raises:
        ValueError: no such federation, or sizes that leave a split empty.
        OSError: the directory cannot be written.
    """
    if name not in FEDERATIONS:
        raise ValueError(f"no federation is called {name!r}; there are {', '.join(FEDERATIONS)}")
    clients = profiles(name, seed)
    data = draw_federation(name, seed=seed, sizes=sizes)
    for profile in clients:
        _write_client(directory / data_path(profile.client), profile, data[profile.client])
    for file in sorted(DIGITS_TINY.iterdir()):
        _put(directory / MODEL_PATH / file.name, file.read_bytes())
    for run_file in RUN_FILES:
        _put(directory / run_file, run_yaml(name, run_file).encode())
    # Last: where this file is, everything that it names is there.
    federation = directory / "federation.yaml"
    _put(federation, federation_yaml(name, clients, MODEL_PATH).encode())
    return federation


def _write_client(folder: Path, profile: Profile, data: ClientData) -> None:
    wanted = dict(_client_files(profile, data))
    for path, content in wanted.items():
        _put(folder / path, content)
    for file in (folder / "images").iterdir():
        if f"images/{file.name}" not in wanted:
            file.unlink()


def _client_files(profile: Profile, data: ClientData) -> Iterator[tuple[str, bytes]]:
    yield "dataset.yaml", dataset_yaml(profile).encode()
    for split, samples in data.items():
        yield f"{split}.json", records(split, samples).encode()
        for index, sample in enumerate(samples):
            yield image_path(record_id(split, index)), picture(sample.scene.pixels)


def _put(path: Path, content: bytes) -> None:
    """Whole or not at all, and not when it is there already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
