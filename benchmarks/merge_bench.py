"""How fast the merge is: distances, nearest-M coefficients and K outputs, against the script one would write first.

    python benchmarks/merge_bench.py [--clients 9 32] [--layers 32] [--rank 8] [--repeats 3] [--folder DIR]

By default the LoRA shapes of a 7B LLaMA (20 M numbers at rank 8). Each measurement is a process of its own, the methods
take turns, and medians are shown. The engine's time includes hashing, finite checks and fsync, which the naive script
does without. `io` reads the inputs and writes as many bytes as the outputs have, with fsync, and computes nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

Method = Callable[[dict[str, Path], dict[str, Path], int], None]

MODULES = {"q": (4096, 4096), "k": (4096, 4096), "v": (4096, 4096), "o": (4096, 4096)}
MODULES |= {"gate": (4096, 11008), "up": (4096, 11008), "down": (11008, 4096)}


def engine() -> Method:
    from pilot_aggregator.merge.engine import mix
    from pilot_aggregator.merge.measure import measure
    from pilot_aggregator.merge.mixture import Member
    from pilot_aggregator.merge.rules import RULES

    def run(inputs: dict[str, Path], outputs: dict[str, Path], neighbours: int) -> None:
        members = [Member(name, "task", 100) for name in sorted(inputs)]
        distances = measure(inputs, "euclidean").matrix
        mix(inputs, outputs, RULES["nearest"].mix(members, distances, {"neighbours": neighbours}))

    return run


def naive() -> Method:
    import torch
    from safetensors.torch import load_file, save_file

    def run(inputs: dict[str, Path], outputs: dict[str, Path], neighbours: int) -> None:
        adapters = {name: load_file(path) for name, path in inputs.items()}
        flat = {name: torch.cat([t.flatten() for t in adapter.values()]) for name, adapter in adapters.items()}
        for name in adapters:
            far = {other: float(torch.dist(flat[name], flat[other])) for other in flat if other != name}
            near = sorted(far, key=far.__getitem__)[:neighbours]
            total = sum(1 / far[other] for other in near)
            share = {other: neighbours / (neighbours + 1) / far[other] / total for other in near}
            share[name] = 1 / (neighbours + 1)
            merged = {t: sum(c * adapters[k][t].float() for k, c in share.items()) for t in adapters[name]}
            save_file(merged, outputs[name])

    return run


def io() -> Method:
    from pilot_aggregator.merge.writer import FLUSH_EVERY, begin_writeback

    def run(inputs: dict[str, Path], outputs: dict[str, Path], neighbours: int) -> None:
        buffer = bytearray(1 << 20)
        for path in inputs.values():
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass
        size = 4 * numbers_of(next(iter(inputs.values())))
        for path in outputs.values():
            with path.open("wb", buffering=0) as file:
                for start in range(0, size, len(buffer)):
                    file.write(memoryview(buffer)[: size - start])
                    if start % FLUSH_EVERY == 0:
                        begin_writeback(file.fileno())
                os.fsync(file.fileno())

    return run


METHODS: dict[str, Callable[[], Method]] = {"engine": engine, "naive": naive, "io": io}


def numbers_of(path: Path) -> int:
    from pilot_aggregator.merge.reader import TensorFile

    file = TensorFile("one", path)
    return sum(int(np.prod(span.shape)) for span in file.header.tensors)


def write_inputs(folder: Path, clients: int, layers: int, rank: int, dtype: str) -> None:
    """Random adapters; bfloat16 by cutting float32 short."""
    shapes = {
        f"base_model.model.layers.{layer}.{module}.lora_{half}.weight": shape
        for layer in range(layers)
        for module, (n_in, n_out) in MODULES.items()
        for half, shape in (("A", (rank, n_in)), ("B", (n_out, rank)))
    }
    entries, offset = {}, 0
    for name, shape in shapes.items():
        end = offset + shape[0] * shape[1] * (4 if dtype == "F32" else 2)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    header = json.dumps(entries).encode()
    for client in range(clients):
        generator = np.random.default_rng(client)
        with (folder / f"client-{client:02d}.safetensors").open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for shape in shapes.values():
                values = generator.standard_normal(shape[0] * shape[1], dtype=np.float32)
                stored = values if dtype == "F32" else (values.view(np.uint32) >> 16).astype("<u2")
                file.write(stored.tobytes())


def child(method: str, folder: Path, neighbours: int) -> None:
    """One measurement: seconds, and the peak memory above what the imports took."""
    run = METHODS[method]()
    inputs = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    with tempfile.TemporaryDirectory(dir=folder) as out:
        outputs = {name: Path(out, f"{name}.safetensors") for name in inputs}
        before, start = peak_mib(), time.perf_counter()
        run(inputs, outputs, neighbours)
        print(json.dumps({"seconds": time.perf_counter() - start, "mib": peak_mib() - before}))


def peak_mib() -> float:
    """The high-water mark of this program. Unlike ru_maxrss, it does not begin with that of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measured(method: str, folder: Path, neighbours: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", method, "--folder", str(folder), "--neighbours", str(neighbours)]
    # Leave no writeback of the one before to the next.
    os.sync()
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def compare(folder: Path, arguments: argparse.Namespace, clients: int, dtype: str) -> None:
    write_inputs(folder, clients, arguments.layers, arguments.rank, dtype)
    millions = numbers_of(folder / "client-00.safetensors") / 1e6
    methods = list(METHODS) if clients <= arguments.naive_up_to else ["engine", "io"]
    runs: dict[str, list[dict[str, float]]] = {method: [] for method in methods}
    for _ in range(arguments.repeats):
        for method in methods:
            runs[method].append(measured(method, folder, arguments.neighbours))
    seconds = {method: median(run["seconds"] for run in found) for method, found in runs.items()}
    print(f"\n{dtype}, K = {clients} x {millions:.1f} M numbers, nearest M = {arguments.neighbours}, {clients} outputs")
    for method in methods:
        peak = max(run["mib"] for run in runs[method])
        each = ", ".join(f"{run['seconds']:.2f}" for run in runs[method])
        print(f"  {method:<7} {seconds[method]:7.2f} s   added peak {peak:7.1f} MiB   ({each})")
    if "naive" in seconds:
        print(f"  engine is {seconds['naive'] / seconds['engine']:.2f} times as fast as naive")
    print(f"  reading and writing the same bytes is {seconds['io'] / seconds['engine']:.0%} of the engine's time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[9, 32])
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--neighbours", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=["F32", "BF16"], choices=["F32", "BF16"])
    parser.add_argument("--naive-up-to", type=int, default=9, help="the naive script only up to so many clients")
    parser.add_argument("--folder", type=Path, help="where to put the files (the disk to measure)")
    parser.add_argument("--child", choices=list(METHODS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.folder, arguments.neighbours)
        return
    for dtype in arguments.dtypes:
        for clients in arguments.clients:
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                compare(Path(folder), arguments, clients, dtype)


if __name__ == "__main__":
    main()
