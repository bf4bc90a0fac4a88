"""Exports and the Jobs behind them: intended first, created from the intent, followed until they end.

They are nobody's attempts: a round neither waits for one nor counts it, and a run that has ended may have some.
"""

import logging

from pilot_client.errors import ApiError, Unreachable
from pilot_client.registry import RegistryClient
from pilot_proto.grant import Handed
from pilot_proto.personal_model import ExportOrder, ExportView
from pilot_proto.run import TERMINAL
from sqlalchemy.exc import OperationalError

from pilot_aggregator.clock import Clock
from pilot_aggregator.jobs.backend import JobBackend, JobRejected, JobState
from pilot_aggregator.rounds.attempts import ENDS, REJECTED, Attempts
from pilot_aggregator.rounds.decide import ACTIVE, AttemptState
from pilot_aggregator.rounds.personal_models import export_view, handed_out, intended, request_of
from pilot_aggregator.store.records import ExportRecord, RoundRecord, RunRecord
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)


class Exports:
    """Keeps the stored exports and the backend's Jobs in step."""

    def __init__(
        self, store: Store, backend: JobBackend, registry: RegistryClient, attempts: Attempts, clock: Clock
    ) -> None:
        self._store, self._backend, self._registry = store, backend, registry
        self._attempts, self._clock = attempts, clock

    def order(self, run: RunRecord, round: RoundRecord, client: str, order: ExportOrder) -> ExportRecord:
        """Have a model made. While its Job is at work this is that one; afterwards another looks after the folder.

        Raises:
            JobRejected: there can be no such Job here.
        """
        known = self.find(run, round, client, order)
        if known and known.state in ACTIVE:
            return known
        sequence = known.sequence + 1 if known else 1
        request = request_of(run, round, client, order, sequence, self._attempts.told(run, round.number, client))
        rendered = self._backend.render(request)
        return self._store.exports.intend(intended(run, round, order, sequence, request, rendered, self._clock.now()))

    def find(self, run: RunRecord, round: RoundRecord, client: str, order: ExportOrder) -> ExportRecord | None:
        """The last Job for a model."""
        return self._store.exports.newest(run.uid, round.number, client, order.point, order.merge_lora)

    def view(self, run: RunRecord, record: ExportRecord) -> ExportView:
        """An export for people."""
        return export_view(run, record, self._backend.state_place(record.rendered))

    def follow(self) -> None:
        """Write down what has become of those at work; what cannot be done now is left to the next look."""
        try:
            active = self._store.exports.active()
            states = self._backend.observe([record.job for record in active if record.created]) if active else {}
        except (OSError, OperationalError) as error:
            log.warning("exports wait: %s", error)
            return
        for record in active:
            try:
                self._follow(record, states.get(record.job))
            except (OSError, OperationalError, Unreachable) as error:
                log.warning("export %s waits: %s", record.job, error)
            except Exception:
                log.exception("export %s: an unexpected error", record.job)

    def _follow(self, record: ExportRecord, state: JobState | None) -> None:
        if not record.created:
            self._create(record)
        elif state is None:
            self._end(record, "Lost", "Lost: the job is gone and left no result")
        elif end := ENDS.get(state.phase):
            self._end(record, end, state.message, exit_code=state.exit_code, started_at=state.started_at)
        elif (state.phase, state.message) != (record.state, record.message):
            values = {"state": state.phase, "message": state.message}
            self._store.exports.change(record, **values, **_known(started_at=state.started_at))

    def _create(self, record: ExportRecord) -> None:
        try:
            self._hand_out(record)
            self._backend.create(record.job, record.rendered)
        except JobRejected as error:
            self._end(record, "Failed", str(error), exit_code=REJECTED)
        except ApiError as error:
            self._end(record, "Failed", f"Refused: the registry hands nothing out for it: {error}", exit_code=REJECTED)
        else:
            self._store.exports.change(record, created=True)
            self._tell(record, "Ordered", f"{record.point} model, job {record.job}")

    def _hand_out(self, record: ExportRecord) -> None:
        """The Job speaks for the client, which may so far have been handed nothing of what the round published."""
        run, round = self._store.run_of(record.uid), self._store.round(record.uid, record.number)
        assert round is not None, "an export is of a round that was published"
        commits = tuple(ref.commit for ref in handed_out(run, round, record.client))
        self._registry.hand_out(run.uid, round.number, record.client, Handed(commits=commits))

    def _end(self, record: ExportRecord, state: AttemptState, message: str, **values: object) -> None:
        if self._store.run_of(record.uid).phase in TERMINAL:
            # Of an anchor that was made again for this Job, nobody else would say so.
            self._backend.end_run(record.uid, cancelled=False)
        self._store.exports.change(
            record, state=state, message=message, ended_at=self._clock.now(), created=True, **_known(**values)
        )
        self._tell(record, state, message)
        if record.created:
            self._backend.settle(record.job)

    def _tell(self, record: ExportRecord, what: str, message: str) -> None:
        now = self._clock.now()
        self._store.add_event(record.uid, now, f"Export{what}", record.number, record.client, message)


def _known(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
