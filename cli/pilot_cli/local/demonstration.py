"""The demo: runs of the digits federation, watched and shown."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pilot_client.errors import ApiError
from pilot_proto.report import RunReport

from pilot_cli import results, watch
from pilot_cli.errors import CommandError
from pilot_cli.local.services import Deployment
from pilot_cli.output import console

RUN_FILES = {"pilot": "run.yaml", "local": "run-local.yaml", "fedavg": "run-fedavg.yaml"}


@dataclass(frozen=True)
class Demonstration:
    """A deployment, and the folder with the run files."""

    deployment: Deployment
    folder: Path
    through: int | None

    def run(self, method: str) -> str:
        """Run a method to its end; the run's name.

        Raises:
            CommandError: it did not succeed.
        """
        document = yaml.safe_load((self.folder / RUN_FILES[method]).read_text())
        if self.through is not None:
            document["spec"]["rounds"] = document["spec"]["rounds"][: self.through]
        # So that 'pilot verify' has something to recompute after the run has ended.
        document["spec"]["retention"] = {"raw_updates": "forever"}
        aggregator = self.deployment.aggregator()
        name = self._start(document)
        console.print(f"run/{name}: {method}, {len(document['spec']['rounds'])} rounds", markup=False)
        ended = watch.follow(aggregator, name)
        if ended.status.phase != "Succeeded":
            why = "\n".join(f"{c.reason}: {c.message}" for c in ended.status.conditions)
            raise CommandError(f"run/{name} ended: {ended.status.phase}", why=why, hint=f"pilot describe run {name}")
        return name

    def last_round(self, name: str) -> int:
        """The last round of a run that merged something."""
        return self.deployment.aggregator().run(name).status.total_rounds

    def show(self, names: list[str], json_file: Path | None, seconds: float) -> None:
        """The result table of the first run, and the others beside it."""
        aggregator = self.deployment.aggregator()
        reports = [results.read(aggregator, name) for name in names]
        console.print()
        console.print(results.table(reports[0]))
        if len(reports) > 1:
            console.print()
            console.print(results.comparison(reports[0], reports[1:]))
        console.print(
            "\nmerged: what round r published, in the architecture of round r. "
            "local: the client's own model after its update, before the merge."
        )
        if json_file is not None:
            document = as_document(reports, seconds)
            text = json.dumps(document, indent=2) + "\n"
            if str(json_file) == "-":
                sys.stdout.write(text)
            else:
                json_file.write_text(text)
                console.print(f"written: {json_file}", markup=False)

    def _start(self, document: dict[str, Any]) -> str:
        """Names stay taken, so a second demo in the same folder gets the next free one."""
        first = document["metadata"]["name"]
        for number in range(1, 1000):
            name = first if number == 1 else f"{first}-{number}"
            document["metadata"]["name"] = name
            try:
                self.deployment.aggregator().create_run(document)
            except ApiError as error:
                if error.code != "name_taken":
                    raise
                continue
            return name
        raise CommandError(f"a thousand runs are named {first}", hint="start afresh with 'make clean'")


def as_document(reports: list[RunReport], seconds: float) -> dict[str, Any]:
    """What `--json` writes."""
    first, *others = [
        {
            "run": report.run,
            "method": report.method,
            "rounds": report.rounds,
            "clients": [client.model_dump(exclude={"scores"}) for client in report.clients],
            "tasks": [task.model_dump() for task in report.tasks],
            "adapters": [
                {"repo": repo, "commit": commit, "sha256": report.digests[repo].removeprefix("sha256:")}
                for repo, commit in sorted(report.published.items())
            ],
        }
        for report in reports
    ]
    return {**first, "compared": others, "seconds": round(seconds, 1)}
