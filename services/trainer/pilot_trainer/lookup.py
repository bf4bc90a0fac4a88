"""What a client may look up about its finished rounds. Reads only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilot_client.aggregator import AggregatorClient
from pilot_client.errors import ApiError
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_proto.assignment import AdapterRef, AssignmentView, FileRef
from pilot_proto.canonical import Commit, Digest, file_digest
from pilot_proto.names import ADAPTER_FILE, Kind
from pilot_proto.registry import VersionPage, VersionView
from pilot_proto.update import UPDATE_FILE
from safetensors.torch import load_file
from torch import Tensor

from pilot_trainer.environment import Environment
from pilot_trainer.errors import BadAssignment, BadConfiguration, TrainerError


class Lookup:
    """The two services, read by a client; a person's credential reads what was published but handed to nobody yet."""

    def __init__(self, environment: Environment, person: Token | None = None) -> None:
        token = Token(file=environment.token_file)
        patience = environment.patience_s
        self._run, self._client = environment.run, environment.client
        readers = [token] if person is None else [token, person]
        self._transports = [Transport(environment.aggregator_url, token, patience_s=patience)]
        self._transports += [Transport(environment.registry_url, each, patience_s=patience) for each in readers]
        self._aggregator = AggregatorClient(self._transports[0])
        self._registries = [RegistryClient(each) for each in self._transports[1:]]

    def close(self) -> None:
        """Hang up."""
        for transport in self._transports:
            transport.close()

    def assignment(self, number: int) -> AssignmentView | None:
        """What this client was asked in a round; None when it was not."""
        try:
            return self._aggregator.assignment(self._run, number, self._client)
        except ApiError as error:
            if error.status == 404:
                return None
            raise _refused(error) from error

    def accepted(self, number: int) -> Digest | None:
        """The digest of the `update.json` that the registry accepted from this client in a round."""
        query: dict[str, Any] = {"run": self._run, "kind": "update", "client": self._client, "round": number}
        try:
            page = VersionPage.model_validate(self._registries[0].get("adapters", **query))
        except ApiError as error:
            raise _refused(error) from error
        return page.items[0].files[UPDATE_FILE].digest if page.items else None

    def published(self, repo: str, commit: Commit) -> tuple[AdapterRef, int]:
        """A version that was published, and which reader may read it."""
        for i, registry in enumerate(self._registries):
            found = self._version(registry, repo, commit)
            if found is not None:
                return found, i
        raise BadAssignment(f"{repo}@{commit[:12]} cannot be read with the credentials at hand; use the client's own")

    def tensors(self, ref: AdapterRef, kind: Kind, folder: Path, reader: int = 0) -> Mapping[str, Tensor]:
        """An adapter, verified. Raises BadAssignment when it cannot be read or its bytes are others."""
        name = ADAPTER_FILE[kind]
        target = folder / f"{ref.commit}.safetensors"
        if not target.exists():
            try:
                self._registries[reader].download(ref, name, target)
            except ApiError as error:
                raise _refused(error) from error
        if file_digest(target) != ref.files[name].digest:
            target.unlink()
            raise BadAssignment(f"{ref.repo}@{ref.commit} {name}: the bytes do not have the digest in its record")
        return dict(load_file(target))

    def _version(self, registry: RegistryClient, repo: str, commit: Commit) -> AdapterRef | None:
        try:
            record = VersionView.model_validate(registry.get(f"adapters/{repo}/versions/{commit}"))
        except ApiError as error:
            if error.status == 404:
                return None
            raise _refused(error) from error
        files = {path: FileRef(digest=file.digest, size=file.size) for path, file in record.files.items()}
        return AdapterRef(repo=repo, commit=commit, files=files)


def _refused(error: ApiError) -> TrainerError:
    return BadConfiguration(f"not allowed: {error}") if error.status in (401, 403) else BadAssignment(str(error))
