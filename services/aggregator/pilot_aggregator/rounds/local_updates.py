"""What the local updates of a run were, from sealed rounds and their assignments. Pure."""

from collections.abc import Mapping

from pilot_proto.assignment import AdapterRef, Inputs
from pilot_proto.grant import AdmittedUpdate
from pilot_proto.local_update import LocalUpdate
from pilot_proto.update import Update

from pilot_aggregator.store.records import RoundRecord


def local_updates(round: RoundRecord, handed: Mapping[str, Inputs]) -> list[LocalUpdate]:
    """A sealed round's updates by client; none before the updates were read. `handed` is what each client was given."""
    sealed = {update.client: update for update in round.sealed.updates} if round.sealed else {}
    told = round.updates or {}
    return [_local_update(told[client], sealed[client], handed[client]) for client in sorted(told)]


def _local_update(update: Update, admitted: AdmittedUpdate, inputs: Inputs) -> LocalUpdate:
    return LocalUpdate(
        round=update.round,
        client=update.client,
        task=update.task,
        program=update.program,
        num_examples=update.num_examples,
        dropped=update.dropped,
        truncated=update.truncated,
        steps=update.steps,
        losses=update.losses,
        router=update.router,
        execution=update.execution,
        uploaded_bytes=sum(file.size for file in admitted.files.values()),
        downloaded_bytes=_downloaded(inputs),
    )


def _downloaded(inputs: Inputs) -> int:
    handed = [inputs.text, inputs.connector, *inputs.task_connectors.values()]
    versions = {adapter.commit: adapter for adapter in handed if adapter is not None}
    return sum(_bytes(adapter) for adapter in versions.values())


def _bytes(adapter: AdapterRef) -> int:
    return sum(file.size for file in adapter.files.values())
