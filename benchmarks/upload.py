"""What the registry costs on the way to a bucket: uploads and downloads through it against the raw SDK, side by side.

Everything is on this machine: a MinIO server (make minio), a registry process, and this one, which plays the sender.
Pairs are interleaved, so that what else the machine does hits both sides; ratios are of medians within one run. Uploads
are measured twice: as fast as everything that shares the machine can be, and over a line of a gigabit a second, to
which the kernel paces the sender's connections. Memory is the peak resident size of a registry process of its own.
`--quick` shows that it works, with sizes that mean nothing.
"""

import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import urllib3
from minio import Minio
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_proto.assignment import FileRef
from pilot_proto.canonical import canonical_bytes, digest_of, file_digest
from pilot_proto.grant import Grant
from pilot_proto.manifest import Manifest
from pilot_proto.names import ADAPTER_FILE, update_path, update_repo
from pilot_proto.update import UPDATE_FILE, PreparedModel, Update, UploadedAdapter

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from minio_server import BINARY, REGION, Server, serving

UID, RUN, CLIENT, KIND = "benchmark", "benchmark", "vqa-1", "connector"
DIGEST = digest_of(b"benchmark")
MEGABYTES, PAIRS, PARALLEL, PARALLEL_MEGABYTES = 500, 5, 16, 100
LINE, LINE_PAIRS = 125_000_000, 3
"""Bytes a second."""
SO_MAX_PACING_RATE = 47
"""Of Linux; Python has no name for it."""
RAW_CONNECTIONS = 3
"""Of the SDK's upload in parts."""
PRINCIPALS = ("aggregator", f"client:{CLIENT}")


def write_adapter(path: Path, megabytes: int, seed: int = 0) -> None:
    """A safetensors file with one F32 tensor of random values."""
    count = megabytes * 250_000
    header = json.dumps({"a": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    generator = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for begin in range(0, count, 1 << 20):
            file.write(generator.standard_normal(min(1 << 20, count - begin), dtype=np.float32).tobytes())


@dataclass
class Registry:
    """A registry process over a bucket."""

    url: str
    process: subprocess.Popen[bytes]
    round: int = 0

    def client(self, who: str = f"client:{CLIENT}", line: int | None = None) -> RegistryClient:
        """The registry as somebody sees it, over a line of so many bytes a second."""
        transport = httpx.HTTPTransport(socket_options=[paced(line)]) if line else None
        return RegistryClient(Transport(self.url, Token(who), patience_s=60, transport=transport))

    def grant(self) -> Grant:
        """A fresh round, in which nothing has been sent."""
        self.round += 1
        grant = Grant(
            uid=UID,
            run=RUN,
            round=self.round,
            client=CLIENT,
            task="vqa",
            program="stage-1",
            assignment=DIGEST,
            model_digest=DIGEST,
            kinds=(KIND,),
            max_bytes={KIND: 4 << 30},
        )
        self.client("aggregator").put_grant(grant)
        return grant

    def upload(self, file: Path, digest: str, grant: Grant, line: int | None = None) -> None:
        """As a trainer does it."""
        self.client(line=line).put_file(file, digest, uid=UID, round=grant.round, kind=KIND, client=CLIENT)

    def commit(self, file: Path, digest: str, folder: Path, grant: Grant) -> tuple[str, str]:
        """Make a version of an uploaded file, so that it can be read; its repository and commit."""
        model = PreparedModel(digest=DIGEST, name="none")
        update = Update(
            run=RUN,
            round=grant.round,
            client=CLIENT,
            task="vqa",
            program="stage-1",
            assignment=DIGEST,
            model=model,
            num_examples=1,
            adapters={KIND: UploadedAdapter(digest=digest, num_parameters=1)},
        )
        told = folder / UPDATE_FILE
        told.write_bytes(canonical_bytes(update))
        place = {"uid": UID, "round": grant.round}
        self.client().put_file(told, file_digest(told), kind="update", client=CLIENT, **place)
        files = {
            UPDATE_FILE: FileRef(digest=file_digest(told), size=told.stat().st_size),
            update_path(KIND, ADAPTER_FILE[KIND]): FileRef(digest=digest, size=file.stat().st_size),
        }
        manifest = Manifest(
            repo=update_repo(RUN, CLIENT),
            kind="update",
            run=RUN,
            round=grant.round,
            client=CLIENT,
            task="vqa",
            program="stage-1",
            model="none",
            model_digest=DIGEST,
            files=files,
            num_examples=1,
        )
        return manifest.repo, self.client().commit(manifest, **place).commit

    def memory_mib(self) -> tuple[float, float]:
        """Resident size now and at its peak."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = {
            line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))
        }
        return found["VmRSS"], found["VmHWM"]


@contextmanager
def registry_over(server: Server, folder: Path) -> Iterator[Registry]:
    """A registry over a new bucket, ready to answer."""
    folder.mkdir()
    keys = [{"principal": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in PRINCIPALS]
    (folder / "keys.yaml").write_text(json.dumps({"keys": keys}))
    settings = {**server.settings(server.bucket()), "state_dir": folder / "state", "keys": folder / "keys.yaml"}
    environment = {**os.environ, **{f"PILOT_REGISTRY_{name.upper()}": str(value) for name, value in settings.items()}}
    process = subprocess.Popen([sys.executable, "-m", "pilot_registry"], env=environment, stderr=subprocess.DEVNULL)
    try:
        told = folder / "state" / "registry.url"
        while not told.exists() or not told.read_text():
            time.sleep(0.05)
        yield Registry(told.read_text(), process)
    finally:
        process.terminate()
        process.wait()


def seconds(act: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def compare_speed(server: Server, folder: Path, megabytes: int, pairs: int) -> None:
    """Up and down, through the registry and raw."""
    file, target = folder / "adapter", folder / "fetched"
    write_adapter(file, megabytes)
    digest, raw, bucket = file_digest(file), server.client(), server.bucket()
    times: dict[str, list[float]] = {"raw up": [], "up": [], "raw down": [], "down": []}
    with registry_over(server, folder / "speed") as registry:
        reader, path = registry.client("aggregator"), update_path(KIND, ADAPTER_FILE[KIND])
        for pair in range(pairs):
            grant, name = registry.grant(), f"k{pair}"
            times["raw up"].append(seconds(partial(raw.fput_object, bucket, name, str(file))))
            times["up"].append(seconds(partial(registry.upload, file, digest, grant)))
            repo, commit = registry.commit(file, digest, folder, grant)
            times["raw down"].append(seconds(partial(raw.fget_object, bucket, name, str(target))))
            times["down"].append(seconds(partial(reader.fetch, repo, commit, path, target)))
            assert file_digest(target) == digest
    for what in ("up", "down"):
        report(what, times[f"raw {what}"], times[what], megabytes)


def compare_over_a_line(server: Server, folder: Path, megabytes: int, pairs: int) -> None:
    """Up, through the registry and raw, where the line to them is what a sender waits for."""
    file = folder / "adapter"
    digest, raw, bucket = file_digest(file), raw_over_a_line(server), server.bucket()
    times: dict[str, list[float]] = {"raw": [], "registry": []}
    with registry_over(server, folder / "line") as registry:
        for pair in range(pairs):
            put = partial(raw.fput_object, bucket, f"k{pair}", str(file), num_parallel_uploads=RAW_CONNECTIONS)
            times["raw"].append(seconds(put))
            times["registry"].append(seconds(partial(registry.upload, file, digest, registry.grant(), LINE)))
    report("line", times["raw"], times["registry"], megabytes)


def raw_over_a_line(server: Server) -> Minio:
    """The SDK, whose connections share the line."""
    pool = urllib3.PoolManager(socket_options=[paced(LINE // RAW_CONNECTIONS)])
    return Minio(server.endpoint, server.access_key, server.secret_key, secure=False, region=REGION, http_client=pool)


def paced(rate: int) -> tuple[int, int, int]:
    """The socket option that holds a connection to so many bytes a second."""
    return socket.SOL_SOCKET, SO_MAX_PACING_RATE, rate


def report(what: str, raw: list[float], ours: list[float], megabytes: int) -> None:
    """One line: medians, their ratio, and the spread of the ratios of the pairs."""
    ratios = sorted(a / b for a, b in zip(ours, raw, strict=True))
    print(
        f"{megabytes} MB {what:<5} raw {statistics.median(raw):6.2f} s   registry {statistics.median(ours):6.2f} s"
        f"   {statistics.median(ours) / statistics.median(raw):5.2f}x   (pairs {ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def measure_memory(server: Server, folder: Path, megabytes: int, parallel: int) -> None:
    """The peak of a registry that takes so many files at once."""
    files = [folder / f"adapter-{i}" for i in range(parallel)]
    for i, file in enumerate(files):
        write_adapter(file, megabytes, seed=i)
    digests = [file_digest(file) for file in files]
    with registry_over(server, folder / f"memory-{parallel}") as registry:
        idle, _ = registry.memory_mib()
        grants = [registry.grant() for _ in files]
        senders = [
            threading.Thread(target=registry.upload, args=arguments)
            for arguments in zip(files, digests, grants, strict=True)
        ]
        taken = seconds(lambda: [[thread.start() for thread in senders], [thread.join() for thread in senders]])
        _, peak = registry.memory_mib()
    for file in files:
        file.unlink()
    print(
        f"{parallel:>3} x {megabytes} MB at once: {taken:6.1f} s   memory {idle:.0f} MiB idle,"
        f" {peak:.0f} MiB at its peak, {peak - idle:+.0f}"
    )


def main() -> None:
    """Measure and print."""
    if not BINARY.exists():
        print("no MinIO: make minio")
        return
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "minio") as server:
        folder = Path(name)
        compare_speed(server, folder, 40 if quick else MEGABYTES, 1 if quick else PAIRS)
        compare_over_a_line(server, folder, 40 if quick else MEGABYTES, 1 if quick else LINE_PAIRS)
        each = 10 if quick else PARALLEL_MEGABYTES
        for parallel in (1, PARALLEL):
            measure_memory(server, folder, each, parallel)


if __name__ == "__main__":
    main()
