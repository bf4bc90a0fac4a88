"""A client's attempts and the jobs behind them: created from stored intents, followed until they end."""

import logging
from collections.abc import Callable, Iterable, Mapping

from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import document_digest
from pilot_proto.names import PREPARER
from prometheus_client.core import Metric

from pilot_aggregator.clock import Clock
from pilot_aggregator.jobs.backend import JobBackend, JobPhase, JobRejected, JobRequest, JobState
from pilot_aggregator.rounds.decide import ACTIVE, AttemptState
from pilot_aggregator.store.records import AttemptRecord, RunRecord
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)

ENDS: Mapping[JobPhase, AttemptState] = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Disrupted": "Disrupted",
    "Lost": "Lost",
    "Cancelled": "Stopped",
}
"""What a job that has come to an end makes of its attempt."""

REJECTED = 78
"""The exit code of a job that could not be made: bad configuration, which no other attempt will mend."""


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
        now = self._clock.now()
        try:
            rendered = self._backend.render(request)
        except JobRejected as error:
            self._reject(self._store.intend(run.uid, number, client, attempt, request.name, {}, now), error)
            return
        intended = self._store.intend(run.uid, number, client, attempt, request.name, rendered, now)
        reached(Boundary.INTENT_STORED)
        self._create(intended)

    def follow(self, attempts: Iterable[AttemptRecord]) -> None:
        """Write down what has become of the jobs that were at work."""
        active = [attempt for attempt in attempts if attempt.state in ACTIVE]
        states = self._backend.observe([attempt.job for attempt in active]) if active else {}
        for attempt in active:
            state = states.get(attempt.job)
            if not attempt.created and (state is None or state.phase == "Unknown"):
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
                self._end(attempt, state, f"{reason}: {attempt.message}" if attempt.message else reason)

    def end_run(self, run: RunRecord, *, cancelled: bool) -> None:
        """Nothing of the run needs to go on."""
        self._backend.end_run(run.uid, cancelled=cancelled)

    def try_out(self, run: RunRecord) -> dict[str, str]:
        """Client to why a job of its could not be made or started; those of whom nothing is known are left out."""
        found = {}
        for client in (PREPARER, *(member.name for member in run.clients)):
            request = self._request(run, 0, client, 1)
            try:
                refusal = self._backend.try_out(request.name, self._backend.render(request))
            except JobRejected as error:
                refusal = str(error)
            if refusal:
                found[client] = refusal
        return found

    def told(self, run: RunRecord, number: int, client: str) -> dict[str, str]:
        """The environment of every job of a client in a round, whatever the job does.

        Raises:
            FileNotFoundError: nobody knows any more where the base model is.
        """
        return {
            **self._environment,
            "PILOT_RUN": run.name,
            "PILOT_ROUND": str(number),
            "PILOT_CLIENT": client,
            "PILOT_MODEL_DIR": self._model_path(run.model.name),
            # As it was when the run started: the federation may have changed since. Round 0 needs none.
            "PILOT_DATA_DIR": next((member.data for member in run.clients if member.name == client), ""),
        }

    def figures(self) -> Iterable[Metric]:
        """The backend's own."""
        return self._backend.figures()

    def check(self) -> None:
        """Raise OSError if the backend can do nothing now."""
        self._backend.check()

    def logs(self, attempt: AttemptRecord) -> str:
        """What the attempt printed."""
        return self._backend.logs(attempt.job)

    def close(self) -> None:
        """Let go of the backend; its jobs go on."""
        self._backend.close()

    def _create(self, attempt: AttemptRecord) -> None:
        try:
            self._backend.create(attempt.job, attempt.rendered)
        except JobRejected as error:
            self._reject(attempt, error)
            return
        except OSError as error:
            log.warning("job %s cannot be created now: %s", attempt.job, error)
            return
        reached(Boundary.JOB_STARTED)
        if not attempt.created:
            self._store.change_attempt(attempt, self._clock.now(), created=True)

    def _note(self, attempt: AttemptRecord, state: JobState) -> None:
        if end := ENDS.get(state.phase):
            self._end(attempt, end, state.message, exit_code=state.exit_code, started_at=state.started_at)
        elif (state.phase, _reason(state.message)) != (attempt.state, _reason(attempt.message)):
            now = self._clock.now()
            values = {"state": state.phase, "message": state.message, "created": True}
            known = {"started_at": state.started_at} if state.started_at else {}
            self._store.change_attempt(attempt, now, _telling(attempt, state), **values, **known)

    def _end(self, attempt: AttemptRecord, state: AttemptState, message: str, **values: object) -> None:
        now = self._clock.now()
        known = {name: value for name, value in values.items() if value is not None}
        self._store.change_attempt(
            attempt, now, f"Attempt{state}", state=state, message=message, ended_at=now, created=True, **known
        )
        if attempt.created:
            self._backend.settle(attempt.job)

    def _reject(self, attempt: AttemptRecord, error: JobRejected) -> None:
        self._end(attempt, "Failed", str(error), exit_code=REJECTED)

    def _request(self, run: RunRecord, number: int, client: str, attempt: int) -> JobRequest:
        numbers = {"round": str(number), "attempt": str(attempt)}
        labels = {"run": run.name, "run-uid": run.uid, "client": client, **numbers}
        name, deadline_s = job_name(run.uid, number, client, attempt), run.spec.participation.deadline_s
        return JobRequest(name, client, self.told(run, number, client), labels, deadline_s)


def _telling(attempt: AttemptRecord, state: JobState) -> str | None:
    """The event that a change deserves: work that begins, and waiting that somebody should look into."""
    if state.phase == "Running":
        return None if attempt.state == "Unknown" else "AttemptStarted"
    return f"Attempt{state.phase}" if state.message else None


def _reason(message: str) -> str:
    return message.partition(":")[0]


def job_name(uid: str, number: int, client: str, attempt: int) -> str:
    """A DNS label of at most 52 characters, the same for the same attempt for ever."""
    short = client[:20].rstrip("-") if client != PREPARER else PREPARER
    digest = document_digest({"uid": uid, "round": number, "client": client, "attempt": attempt})
    return f"pilot-{uid[:8]}-r{number}-{short}-{digest[7:13]}-a{attempt}"
