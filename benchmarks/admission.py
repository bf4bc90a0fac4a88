"""What admitting an adapter costs: CPU time against hashing the same bytes alone, and memory against its size.

Every size is measured in a process of its own, so that peak memory is that size's. Ratios are of one run on one
machine; the figures in seconds are not comparable between machines.
"""

import asyncio
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pilot_http.auth import Principal
from pilot_proto.grant import Grant
from pilot_registry.admission.upload import Upload, receive
from pilot_registry.context import Registry, open_registry
from pilot_registry.grants import put_grant
from pilot_registry.settings import Settings

MEGABYTES = (1, 10, 100, 400)
TENSORS = 200
UID, CLIENT = "benchmark", "vqa-1"
PIECE = 1 << 16
REPEATS = 5


def write_adapter(path: Path, megabytes: int) -> str:
    """A file of random F32 tensors; its digest."""
    count = megabytes * 10**6 // 4 // TENSORS
    header = {
        f"layer.{i}.weight": {"dtype": "F32", "shape": [count], "data_offsets": [i * count * 4, (i + 1) * count * 4]}
        for i in range(TENSORS)
    }
    raw = json.dumps(header).encode()
    generator, digest = np.random.default_rng(0), hashlib.sha256()
    with path.open("wb") as file:
        for piece in (len(raw).to_bytes(8, "little"), raw):
            digest.update(piece)
            file.write(piece)
        for _ in range(TENSORS):
            tensor = generator.standard_normal(count, dtype=np.float32).tobytes()
            digest.update(tensor)
            file.write(tensor)
    return "sha256:" + digest.hexdigest()


def hash_alone(path: Path) -> float:
    """CPU seconds for reading and hashing."""
    started, digest = time.process_time(), hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return time.process_time() - started


async def body(path: Path) -> AsyncIterator[bytes]:
    """The file as a server receives it."""
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def admit(registry: Registry, path: Path, digest: str) -> float:
    """CPU seconds for the whole admission: receive, hash, write, check, store, note."""
    upload = Upload(
        principal=Principal("client", CLIENT),
        digest=digest,
        uid=UID,
        round=0,
        kind="connector",
        client=CLIENT,
        declared_size=path.stat().st_size,
    )
    started = time.process_time()
    asyncio.run(receive(registry, upload, body(path)))
    return time.process_time() - started


def peak_mib() -> float:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(megabytes: int) -> dict[str, float]:
    """One size, in this process; best of a few repetitions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digest = write_adapter(folder / "adapter", megabytes)
        settings = Settings(state_dir=folder / "state", keys=folder / "keys")
        registry = open_registry(settings, lambda: datetime.now(UTC))
        grant = Grant(
            uid=UID,
            run="benchmark",
            round=0,
            client=CLIENT,
            task="",
            program="prepare",
            assignment=digest,
            kinds=("connector",),
        )
        put_grant(registry, grant, "aggregator")
        before = peak_mib()
        hashing = min(hash_alone(folder / "adapter") for _ in range(REPEATS))
        admission = min(admit(registry, folder / "adapter", digest) for _ in range(REPEATS))
        registry.database.close()
        return {"hash_s": hashing, "admission_s": admission, "added_peak_mib": peak_mib() - before}


def main() -> None:
    """Measure every size and print the table."""
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
        return
    print(f"{'size':>8} {'sha256 alone':>13} {'admission':>11} {'ratio':>6} {'added peak memory':>18}")
    for megabytes in MEGABYTES:
        done = subprocess.run([sys.executable, __file__, str(megabytes)], capture_output=True, check=True)
        row = json.loads(done.stdout)
        ratio = row["admission_s"] / row["hash_s"]
        print(
            f"{megabytes:>5} MB {row['hash_s']:>11.3f} s {row['admission_s']:>9.3f} s {ratio:>5.2f}x"
            f" {row['added_peak_mib']:>14.1f} MiB"
        )


if __name__ == "__main__":
    main()
