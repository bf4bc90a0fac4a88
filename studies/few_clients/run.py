"""Measures few clients: every setting and seed as a run of the real services on this machine.

    OMP_NUM_THREADS=1 python -m studies.few_clients.run --state DIR [--seeds 0 1 2] [--settings local fedavg m1]

from the root of the repository. One deployment in DIR holds all runs; what `results.json` has is not measured again,
and a run that an interruption left in DIR is awaited instead of started anew. Training is the same for `val` and
`test`, so both runs of a pair must end with the same bytes: the table's test checks it.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pilot_cli.local.demonstration import RUN_FILES
from pilot_cli.local.services import Deployment
from pilot_cli.output import console
from pilot_client.errors import ApiError
from pilot_digits.federation import write_federation
from pilot_digits.profiles import FEDERATIONS
from pilot_proto.run import TERMINAL

from studies.few_clients.results import RESULTS, Measured, adapters, outcomes, read, write
from studies.few_clients.settings import SETTINGS, Setting, Split, document, run_name

POLL_S = 1.0
ONE_AT_A_TIME = {"PILOT_AGGREGATOR_MAX_PARALLEL": "1"}
KNOWN = {setting.name: setting for setting in SETTINGS}

Job = tuple[Setting, int, Split]


def jobs(settings: Sequence[Setting], seeds: Sequence[int], done: Sequence[Measured]) -> Iterator[Job]:
    """What is left, seed by seed, so that an interrupted study has whole seeds."""
    known = {(run.setting, run.seed, run.split) for run in done}
    wanted = ((setting, seed, split) for seed in seeds for setting in settings for split in setting.splits)
    return (job for job in wanted if (job[0].name, job[1], job[2]) not in known)


def measure(deployment: Deployment, job: Job) -> Measured:
    """Run one setting to its end.

    Raises:
        RuntimeError: the run did not succeed.
    """
    setting, seed, split = job
    name = run_name(setting.name, seed, split)
    written = yaml.safe_load((deployment.federation.parent / RUN_FILES[setting.method]).read_text())
    aggregator = deployment.aggregator()
    try:
        aggregator.create_run(document(written, setting, seed, split))
    except ApiError as error:
        if error.code != "name_taken":
            raise
    while (view := aggregator.run(name)).status.phase not in TERMINAL:
        time.sleep(POLL_S)
    if view.status.phase != "Succeeded" or view.status.conditions:
        raise RuntimeError(f"run {name} ended {view.status.phase}: {view.status.conditions}")
    report: dict[str, Any] = aggregator.report(name, scores=True)
    return Measured(setting.name, seed, split, outcomes(report, with_scores=split == "test"), adapters(report))


def main() -> None:
    """Measure what is left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="a folder for the deployment")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--federation", choices=FEDERATIONS, default="digits-3")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", choices=KNOWN, default=list(KNOWN))
    parser.add_argument("--port", type=int, default=8760)
    asked = parser.parse_args()
    chosen = [KNOWN[name] for name in asked.settings]
    runs = read(asked.out)
    asked.state.mkdir(parents=True, exist_ok=True)
    federation = write_federation(asked.federation, asked.state.resolve() / asked.federation)
    deployment = Deployment(asked.state.resolve(), federation, asked.port, extra=ONE_AT_A_TIME)
    deployment.start()
    try:
        for job in jobs(chosen, asked.seeds, runs):
            began = time.monotonic()
            runs.append(measure(deployment, job))
            write(asked.out, runs)
            console.print(f"{run_name(job[0].name, job[1], job[2])}: {time.monotonic() - began:.0f} s", markup=False)
    finally:
        deployment.stop()


if __name__ == "__main__":
    main()
