"""Adapters on the aggregator's own disk: inputs fetched from the registry, and merges of them in a separate process."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pilot_client.errors import Unreachable
from pilot_client.registry import RegistryClient
from pilot_proto.assignment import AdapterRef, FileRef
from pilot_proto.canonical import file_digest
from pilot_proto.grant import SealedRound
from pilot_proto.names import ADAPTER_FILE, Kind, update_path
from pilot_proto.plan import KindPlan
from pilot_proto.run import Metric, Rule
from pilot_proto.update import UPDATE_FILE, Update

from pilot_aggregator.merge.plan import metric_of, mixture_of
from pilot_aggregator.merge.process import MergeProcess
from pilot_aggregator.merge.request import (
    DISTANCES_FILE,
    RESULT_FILE,
    DistanceRequest,
    DistanceResult,
    InputFile,
    MergeRequest,
    MergeResult,
    OutputRow,
)
from pilot_aggregator.rounds.gate import Measurement

TRANSFERS = 4
"""Files that come or go at a time."""

DEFAULT_METRIC: Metric = "euclidean"
"""Of a rule that names none; and for the gate, where the rule looks at no distances."""


@dataclass(frozen=True)
class Wanted:
    """What to measure of one kind."""

    kind: Kind
    rule: Rule
    given: Mapping[str, AdapterRef]
    """What each client started from."""
    base: AdapterRef
    scaling: float


class Fetched:
    """Files of versions on this machine, by digest; each is fetched once."""

    def __init__(self, folder: Path, registry: RegistryClient) -> None:
        self._folder = folder
        self._registry = registry
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, adapter: AdapterRef, path: str) -> Path:
        """A file of a version, verified; fetched only if it is not here yet.

        Raises:
            Unreachable: the registry is away, or sent other bytes than it promised.
        """
        wanted = adapter.files[path].digest
        target = self._target(wanted)
        if not target.exists():
            arriving = target.with_suffix(".arriving")
            self._registry.download(adapter, path, arriving)
            if (found := file_digest(arriving)) != wanted:
                arriving.unlink()
                raise Unreachable(f"{adapter.repo}/{path} arrived as {found}, not {wanted}")
            arriving.rename(target)
        return target

    def fetch_all(self, wanted: Iterable[tuple[AdapterRef, str]]) -> None:
        """Fetch files of versions, several at a time. Raises as `fetch` does."""
        everything = {adapter.files[path].digest: (adapter, path) for adapter, path in wanted}
        missing = {digest: each for digest, each in everything.items() if not self._target(digest).exists()}
        with ThreadPoolExecutor(TRANSFERS, "fetch") as pool:
            list(pool.map(lambda each: self.fetch(*each), missing.values()))

    def _target(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")

    def updates(self, sealed: SealedRound, kind: Kind) -> dict[str, InputFile]:
        """Every sealed update's adapter of a kind, by client."""
        path = update_path(kind, ADAPTER_FILE[kind])
        found = {}
        for update in sealed.updates:
            adapter = AdapterRef(repo=update.repo, commit=update.commit, files=update.files)
            found[update.client] = InputFile(path=str(self.fetch(adapter, path)), digest=update.files[path].digest)
        return found

    def said(self, sealed: SealedRound) -> dict[str, Update]:
        """What every client said of its update."""
        found = {}
        for update in sealed.updates:
            adapter = AdapterRef(repo=update.repo, commit=update.commit, files=update.files)
            found[update.client] = Update.model_validate_json(self.fetch(adapter, UPDATE_FILE).read_bytes())
        return found


class Spool:
    """One round's files: `inputs/` by digest, and a folder for each request to the merge process."""

    def __init__(self, folder: Path, registry: RegistryClient, merges: MergeProcess) -> None:
        self.folder = folder
        self.inputs = Fetched(folder / "inputs", registry)
        self._merges = merges

    def measure(self, sealed: SealedRound, wanted: Sequence[Wanted]) -> dict[str, Measurement]:
        """By kind: distances between a round's updates, and how far each is from what its client was given."""
        requests = {each.kind: self._distances(sealed, each) for each in wanted}
        self._merges.run(list(requests.values()))
        return {kind: _measurement(Path(request.directory)) for kind, request in requests.items()}

    def _distances(self, sealed: SealedRound, wanted: Wanted) -> DistanceRequest:
        inputs = self.inputs.updates(sealed, wanted.kind)
        return DistanceRequest(
            inputs=inputs,
            metric=wanted.rule.metric or DEFAULT_METRIC,
            base=self._adapter(wanted.base, wanted.kind),
            given={client: self._adapter(wanted.given[client], wanted.kind) for client in inputs},
            tasks={update.client: update.task for update in sealed.updates},
            pairs=metric_of(wanted.rule) is not None,
            scaling=wanted.scaling,
            directory=str(self.folder / f"measure-{wanted.kind}"),
        )

    def _adapter(self, adapter: AdapterRef, kind: Kind) -> InputFile:
        file = ADAPTER_FILE[kind]
        return InputFile(path=str(self.inputs.fetch(adapter, file)), digest=adapter.files[file].digest)

    def merge(self, sealed: SealedRound, plans: Sequence[KindPlan]) -> dict[str, FileRef]:
        """Carry out plans: repository to its file, which stands in `merged_file`."""
        requests = [self._merge(sealed, plan) for plan in plans if mixture_of(plan).outputs]
        self._merges.run(requests)
        merged: dict[str, FileRef] = {}
        for request in requests:
            result = MergeResult.model_validate_json(Path(request.directory, RESULT_FILE).read_bytes())
            merged |= {repo: FileRef(digest=out.digest, size=out.size) for repo, out in result.outputs.items()}
        return merged

    def _merge(self, sealed: SealedRound, plan: KindPlan) -> MergeRequest:
        mixture = mixture_of(plan)
        everyone = self.inputs.updates(sealed, plan.kind)
        rows = zip(mixture.outputs, mixture.coefficients, strict=True)
        return MergeRequest(
            inputs={name: everyone[name] for name in mixture.inputs},
            outputs={repo: OutputRow(file=_file_name(repo), coefficients=row) for repo, row in rows},
            directory=str(self.folder / f"merge-{plan.kind}"),
        )

    def merged_file(self, kind: Kind, repo: str) -> Path:
        """Where `merge` put an output."""
        return self.folder / f"merge-{kind}" / _file_name(repo)

    def remove(self) -> None:
        """The round is published; the registry has everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _file_name(repo: str) -> str:
    return repo.replace("/", "--") + ".safetensors"


def _measurement(folder: Path) -> Measurement:
    found = DistanceResult.model_validate_json((folder / DISTANCES_FILE).read_bytes())
    assert found.change_norms is not None, "asked for by `given`"
    assert found.to_peers is not None, "asked for by `tasks`"
    norms = tuple(found.change_norms[name] for name in found.names)
    return Measurement(found.metric, found.names, found.matrix, norms, found.to_peers)
