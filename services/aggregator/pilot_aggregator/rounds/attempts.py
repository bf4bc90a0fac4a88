"""A client's attempts and the jobs behind them: created from stored intents, followed until they end."""

import logging
from collections.abc import Callable, Iterable

from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import document_digest
from pilot_proto.names import PREPARER

from pilot_aggregator.clock import Clock
from pilot_aggregator.jobs.backend import JobBackend, JobConflict, JobRequest, JobState
from pilot_aggregator.rounds.decide import ACTIVE, AttemptState
from pilot_aggregator.store.records import AttemptRecord, RunRecord
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)


class Attempts:
    """Keeps the stored attempts and the backend's jobs in step."""

    def __init__(
        self,
        store: Store,
        backend: JobBackend,
        clock: Clock,
        environment: dict[str, str],
        model_path: Callable[[str], str],
    ) -> None:
        """`environment` is what every job is told: where the services are. `model_path` is a base model's folder."""
        self._store = store
        self._backend = backend
        self._clock = clock
        self._environment = environment
        self._model_path = model_path

    def launch(self, run: RunRecord, number: int, client: str, attempt: int) -> None:
        """Intend an attempt, then create its job. Killed in between, `follow` creates it from the intent."""
        request = self._request(run, number, client, attempt)
        rendered = self._backend.render(request)
        self._store.intend(run.uid, number, client, attempt, request.name, rendered, self._clock.now())
        reached(Boundary.INTENT_STORED)
        intended = self._store.attempts(run.uid, number)
        self._create(next(a for a in intended if a.client == client and a.attempt == attempt))

    def follow(self, attempts: Iterable[AttemptRecord]) -> None:
        """Write down what has become of the jobs that were at work."""
        active = [attempt for attempt in attempts if attempt.state in ACTIVE]
        states = self._backend.observe([attempt.job for attempt in active]) if active else {}
        for attempt in active:
            state = states.get(attempt.job)
            if state is None and not attempt.created:
                self._create(attempt)
            elif state is None:
                self._end(attempt, "Lost", "the job is gone and left no result")
            else:
                self._note(attempt, state)

    def stop(self, attempts: Iterable[AttemptRecord], state: AttemptState, reason: str) -> None:
        """End those that are still at work."""
        for attempt in attempts:
            if attempt.state in ACTIVE:
                self._backend.delete(attempt.job)
                self._end(attempt, state, reason)

    def logs(self, attempt: AttemptRecord) -> str:
        """What the attempt printed."""
        return self._backend.logs(attempt.job)

    def close(self) -> None:
        """Let go of the backend; its jobs go on."""
        self._backend.close()

    def _create(self, attempt: AttemptRecord) -> None:
        try:
            self._backend.create(attempt.job, attempt.rendered)
        except JobConflict as error:
            self._end(attempt, "Failed", str(error), exit_code=78)
            return
        except OSError as error:
            log.warning("job %s cannot be created now: %s", attempt.job, error)
            return
        reached(Boundary.JOB_STARTED)
        if not attempt.created:
            self._store.change_attempt(attempt, self._clock.now(), created=True)

    def _note(self, attempt: AttemptRecord, state: JobState) -> None:
        if state.phase == "Queued":
            if attempt.state != "Queued":
                self._store.change_attempt(attempt, self._clock.now(), state="Queued", created=True)
        elif state.phase == "Running":
            if attempt.state != "Running":
                now = self._clock.now()
                self._store.change_attempt(
                    attempt, now, "AttemptStarted", state="Running", created=True, started_at=state.started_at
                )
        else:
            self._end(attempt, state.phase, state.message, exit_code=state.exit_code, started_at=state.started_at)

    def _end(self, attempt: AttemptRecord, state: AttemptState, message: str, **values: object) -> None:
        now = self._clock.now()
        known = {name: value for name, value in values.items() if value is not None}
        self._store.change_attempt(
            attempt, now, f"Attempt{state}", state=state, message=message, ended_at=now, created=True, **known
        )

    def _request(self, run: RunRecord, number: int, client: str, attempt: int) -> JobRequest:
        labels = {"run": run.name, "round": str(number), "client": client, "attempt": str(attempt)}
        environment = {
            **self._environment,
            "PILOT_RUN": run.name,
            "PILOT_ROUND": str(number),
            "PILOT_CLIENT": client,
            "PILOT_MODEL_DIR": self._model_path(run.model.name),
            # As it was when the run started: the federation may have changed since. Round 0 needs none.
            "PILOT_DATA_DIR": next((member.data for member in run.clients if member.name == client), ""),
        }
        return JobRequest(job_name(run.uid, number, client, attempt), client, environment, labels)


def job_name(uid: str, number: int, client: str, attempt: int) -> str:
    """A DNS label of at most 52 characters, the same for the same attempt for ever."""
    short = client[:20].rstrip("-") if client != PREPARER else PREPARER
    digest = document_digest({"uid": uid, "round": number, "client": client, "attempt": attempt})
    return f"pilot-{uid[:8]}-r{number}-{short}-{digest[7:13]}-a{attempt}"
