"""Rows as values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pilot_proto.assignment import AdapterRef, FileRef, Inputs, ModelRef, PrivateStateRef
from pilot_proto.federation import Client
from pilot_proto.grant import Publication, SealedRound
from pilot_proto.personal_model import Point
from pilot_proto.plan import Ledger, MergePlan
from pilot_proto.run import Condition, Phase, RunSpec, StageTime
from pilot_proto.training import Program
from pilot_proto.update import Update

from pilot_aggregator.jobs.backend import Rendered
from pilot_aggregator.rounds.assign import History, RunPlan
from pilot_aggregator.rounds.decide import AttemptState
from pilot_aggregator.rounds.gate import Measurement


@dataclass(frozen=True)
class RunRecord:
    """A run: what is wanted, and where it stands."""

    uid: str
    name: str
    spec: RunSpec
    clients: tuple[Client, ...]
    model: ModelRef
    slots: Mapping[str, AdapterRef]
    """After the last published round."""
    accepted: Mapping[str, tuple[PrivateStateRef, ...]]
    phase: Phase
    conditions: tuple[Condition, ...]
    round: int
    published: int
    through: int
    paused: bool
    cancelling: bool
    created_at: datetime
    ended_at: datetime | None
    revision: int

    @property
    def plan(self) -> RunPlan:
        return RunPlan(self.name, self.uid, self.spec, self.clients)

    @property
    def history(self) -> History:
        return History(self.model, self.slots, self.accepted)


@dataclass(frozen=True)
class RoundRecord:
    """A round: each document appears when its step is done."""

    uid: str
    number: int
    program: Program
    started_at: datetime
    quorum_at: datetime | None
    sealed: SealedRound | None
    measured: dict[str, Measurement] | None
    updates: dict[str, Update] | None
    """What each client said of its update; kept here because raw updates are deleted."""
    plan: MergePlan | None
    ledger: Ledger | None
    merged: dict[str, FileRef] | None
    publication: Publication | None
    slots: dict[str, AdapterRef] | None
    """Where everybody stands after the round."""
    accepted: dict[str, tuple[PrivateStateRef, ...]] | None
    """Every client's accepted updates up to this round."""
    ended_at: datetime | None


@dataclass(frozen=True)
class RoundSummary:
    """A round without the documents that grow with the square of its clients."""

    number: int
    program: Program
    started_at: datetime
    ended_at: datetime | None
    state: str
    """`Assigned`, `Sealed`, `Planned`, `Merged` or `Published`: the last step that is done."""
    asked: int
    ledger: Ledger | None


@dataclass(frozen=True)
class AssignmentRecord:
    uid: str
    number: int
    client: str
    task: str
    digest: str
    body: bytes
    budget_from: int
    failure: str
    verdict: Any
    verdict_reason: str | None
    verdict_by: str | None = None
    verdict_at: datetime | None = None

    @property
    def inputs(self) -> Inputs:
        """What was handed out, without reading the rest of the assignment, which is most."""
        return Inputs.model_validate(json.loads(self.body).get("inputs", {}), extra="ignore")

    @property
    def program(self) -> Program:
        """What was asked for, read in the same way."""
        program: Program = json.loads(self.body)["program"]
        return program


@dataclass(frozen=True)
class AttemptRecord:
    uid: str
    number: int
    client: str
    attempt: int
    job: str
    """Its name; the job itself is read only to create it."""
    state: AttemptState
    created: bool
    exit_code: int | None
    message: str
    intended_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Timings:
    """What a trainer told of its own work, and when."""

    reported_at: datetime
    stages: tuple[StageTime, ...]


@dataclass(frozen=True)
class Intent:
    """An attempt that is about to be made."""

    client: str
    attempt: int
    job: str
    rendered: Rendered


@dataclass(frozen=True)
class AttemptChange:
    """What has become of an attempt's job."""

    attempt: AttemptRecord
    values: Mapping[str, Any]
    event: str | None = None


@dataclass(frozen=True)
class ExportRecord:
    """A Job that makes a client's personal model."""

    uid: str
    number: int
    client: str
    point: Point
    merge_lora: bool
    sequence: int
    """Among the Jobs for this very model, one after the other."""
    job: str
    folder: str
    rendered: Rendered
    state: AttemptState
    created: bool
    exit_code: int | None
    message: str
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Delivery:
    """What the webhook is to be told."""

    id: str
    """The same for the same run and phase, for ever."""
    uid: str
    body: bytes
    attempts: int
    due_at: datetime
    delivered_at: datetime | None = None
    given_up_at: datetime | None = None
    error: str = ""
    """Why the last attempt failed."""


@dataclass(frozen=True)
class EventRecord:
    """Something that happened, for people and streams."""

    id: int
    uid: str
    at: datetime
    type: str
    round: int
    client: str
    message: str
