"""One static program as an image: a docker archive of one layer, made without a registry and without a builder.

scratch_image.py PROGRAM TAG ARCHIVE
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def archive(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A tar of files: name -> content and mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def image(program: Path, tag: str) -> bytes:
    """A docker archive whose entrypoint is the program."""
    layer = archive({program.name: (program.read_bytes(), 0o755)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    raw = json.dumps(config).encode()
    name = f"{hashlib.sha256(raw).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    return archive({"layer.tar": (layer, 0o644), name: (raw, 0o644), "manifest.json": (manifest, 0o644)})


if __name__ == "__main__":
    binary, wanted, target = sys.argv[1:]
    Path(target).write_bytes(image(Path(binary), wanted))
