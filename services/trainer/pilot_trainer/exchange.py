"""What a trainer says to aggregator and registry, and how it takes their answers."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pilot_client.aggregator import AggregatorClient
from pilot_client.errors import ApiError, Unreachable
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_proto.assignment import AdapterRef, Assignment, AssignmentView, FileRef
from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import document_digest, file_digest
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.names import update_repo
from pilot_proto.run import Progress, StageTime
from pilot_proto.update import Update

from pilot_trainer.environment import Environment
from pilot_trainer.errors import BadAssignment, BadConfiguration, Refused, TrainerError
from pilot_trainer.results import Result

log = logging.getLogger(__name__)

_NOT_NEEDED = frozenset({"already_answered", "round_closed"})


class NotNeeded(Exception):
    """The round can do without us: somebody answered, or it is over. `code` says which."""

    def __init__(self, error: ApiError) -> None:
        super().__init__(str(error))
        self.code = error.code


class Exchange:
    """The two services, from the place of one client in one round."""

    def __init__(self, environment: Environment) -> None:
        token = Token(file=environment.token_file)
        patient = Transport(environment.aggregator_url, token, patience_s=environment.patience_s)
        hasty = Transport(environment.aggregator_url, token)
        registry = Transport(environment.registry_url, token, patience_s=environment.patience_s)
        self._transports = (patient, hasty, registry)
        self._aggregator, self._hints = AggregatorClient(patient), AggregatorClient(hasty)
        self._registry = RegistryClient(registry)
        self._place = (environment.run, environment.round, environment.client)

    def close(self) -> None:
        """Hang up."""
        for transport in self._transports:
            transport.close()

    def assignment(self) -> AssignmentView:
        """What to do.

        Raises NotNeeded, BadAssignment or BadConfiguration when the aggregator refuses or contradicts itself.
        """
        try:
            view = self._aggregator.assignment(*self._place)
        except ApiError as error:
            raise meaning_of(error) from error
        if document_digest(view.assignment) != view.digest:
            raise BadAssignment(f"the assignment does not have the digest {view.digest} that came with it")
        return view

    def fetch(self, adapter: AdapterRef, folder: Path) -> None:
        """All files of an input, verified. Raises BadAssignment when a file is not what the assignment names."""
        for path, ref in adapter.files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._registry.download(adapter, path, target)
            except ApiError as error:
                raise meaning_of(error) from error
            _verify(target, ref, adapter)

    def upload(self, result: Result, uid: str) -> str:
        """Put all files, then commit them as one update. -> the commit. Raises NotNeeded when nobody wants it."""
        files = result.uploads()
        refs = {path: FileRef(digest=file_digest(file), size=file.stat().st_size) for path, file in files.items()}
        manifest = manifest_of(result.update, result.assignment(), refs)
        try:
            self._put(files, refs, result.update, uid)
            try:
                return self._registry.commit(manifest, uid=uid, round=result.update.round).commit
            except ApiError as error:
                if error.code != "not_uploaded":
                    raise
                # The registry's collection took bytes of an earlier round in the moment in which they came again.
                self._put(files, refs, result.update, uid)
                return self._registry.commit(manifest, uid=uid, round=result.update.round).commit
        except ApiError as error:
            if error.status in (400, 413, 422):
                raise Refused(error.code, str(error)) from error
            raise meaning_of(error) from error

    def _put(self, files: dict[str, Path], refs: dict[str, FileRef], update: Update, uid: str) -> None:
        for i, (path, file) in enumerate(files.items()):
            kind = path.split("/")[0] if path.endswith(".safetensors") else "update"
            self._registry.put_file(
                file, refs[path].digest, uid=uid, round=update.round, kind=kind, client=update.client
            )
            if i == 0:
                reached(Boundary.ONE_FILE_PUT)

    def progress(self, progress: Progress) -> None:
        """Tell where we are, once."""
        self._hints.send_progress(*self._place, progress)

    def report(self, commit: str, timings: Sequence[StageTime]) -> None:
        """Tell that we are done, and how long what took; the aggregator would also find out from the registry."""
        try:
            self._hints.send_report(*self._place, commit, timings)
        except (ApiError, Unreachable) as error:
            log.warning("report not delivered", extra={"reason": str(error)})

    def failure(self, error: TrainerError) -> None:
        """Tell why we stop; the exit code and the termination message say it too."""
        try:
            self._hints.send_failure(*self._place, error.code, str(error))
        except (ApiError, Unreachable) as problem:
            log.warning("failure not delivered", extra={"reason": str(problem)})


def manifest_of(update: Update, assignment: Assignment, refs: dict[str, FileRef]) -> Manifest:
    """The version under which an update is committed; its parents are the inputs it started from."""
    inputs = assignment.inputs
    used = {ref.repo: ref.commit for ref in (inputs.text, inputs.connector, *inputs.task_connectors.values()) if ref}
    return Manifest(
        repo=update_repo(update.run, update.client),
        kind="update",
        run=update.run,
        round=update.round,
        client=update.client,
        task=update.task,
        program=update.program,
        model=update.model.name,
        model_digest=update.model.digest,
        files=refs,
        num_examples=update.num_examples,
        contributors=(update.client,),
        parents=tuple(Parent(repo=repo, commit=commit) for repo, commit in sorted(used.items())),
    )


def _verify(file: Path, ref: FileRef, adapter: AdapterRef) -> None:
    if file.stat().st_size != ref.size or file_digest(file) != ref.digest:
        file.unlink()
        raise BadAssignment(
            f"{adapter.repo}@{adapter.commit} {file.name}: the bytes do not have the digest {ref.digest}"
        )


def meaning_of(error: ApiError) -> Exception:
    """What a refusal means for this attempt."""
    if error.code in _NOT_NEEDED or error.status in (409, 410):
        return NotNeeded(error)
    if error.status in (401, 403):
        return BadConfiguration(f"not allowed: {error}")
    return BadAssignment(str(error))
