"""Telling the deployment's webhook that a run has ended, in the form of Standard Webhooks.

    webhook-id         {run uid}-{phase}: the same for every attempt, so that a receiver can drop what it has
    webhook-timestamp  seconds since 1970, of this attempt
    webhook-signature  v1,base64(HMAC-SHA256(secret, id.timestamp.body))

At least once: what is to be told is stored with the status that ended the run, and stays until a 2xx answers or the
attempts are spent. The address is the deployment's alone; nothing in a run can name one.
"""

import base64
import binascii
import hashlib
import hmac
import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from pilot_proto.canonical import canonical_bytes
from pilot_proto.run import Condition, Phase
from pilot_proto.webhook import EndedRun, RunEnded
from sqlalchemy.exc import OperationalError

from pilot_aggregator.clock import Clock
from pilot_aggregator.store.records import Delivery, RunRecord
from pilot_aggregator.store.store import Store

log = logging.getLogger(__name__)

PREFIX = "whsec_"
SHORTEST_SECRET = 16
LONGEST_WAIT_S = 3600.0
IDLE_TIMEOUT_S = 10.0
GONE = 410


def delivery_of(
    run: RunRecord, phase: Phase, conditions: tuple[Condition, ...], ended_at: datetime, public_url: str
) -> Delivery:
    """What is to be told about a run that ends now; `public_url` is where people reach this service."""
    ended = EndedRun(
        run=run.name,
        uid=run.uid,
        phase=phase,
        conditions=conditions,
        published=run.published,
        report=f"{public_url}/api/v1alpha1/runs/{run.name}/report",
    )
    body = canonical_bytes(RunEnded(timestamp=ended_at, data=ended))
    return Delivery(id=f"{run.uid}-{phase}", uid=run.uid, body=body, attempts=0, due_at=ended_at)


def read_secret(file: Path) -> bytes:
    """The bytes to sign with.

    Raises:
        ValueError: too short, or not base64 behind `whsec_`.
        OSError: the file cannot be read.
    """
    text = file.read_text().strip()
    encoded = text.startswith(PREFIX)
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True) if encoded else text.encode()
    except binascii.Error as error:
        raise ValueError(f"{file}: behind {PREFIX!r} stands base64, and this is none") from error
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"{file} holds {len(secret)} bytes; a secret has at least {SHORTEST_SECRET}")
    return secret


def signature(secret: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = f"{identity}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def wait_after(attempts: int, first_s: float) -> timedelta:
    """How long to leave a receiver alone after so many failures."""
    return timedelta(seconds=min(first_s * 2 ** min(attempts - 1, 32), LONGEST_WAIT_S))


@dataclass(frozen=True)
class Receiver:
    """Whom to tell, and how patiently."""

    url: str
    secret_file: Path
    attempts: int
    retry_s: float
    public_url: str
    """Where people reach this service: what it is told leads to."""


class Webhook:
    """A thread that tells what is due."""

    def __init__(self, store: Store, receiver: Receiver, clock: Clock) -> None:
        """A change of the secret's file counts from the next attempt.

        Raises:
            ValueError, OSError: the secret cannot be used.
        """
        read_secret(receiver.secret_file)
        self._store, self._receiver, self._clock = store, receiver, clock
        # A redirect would send signed news wherever the answer says.
        self._http = httpx.Client(timeout=IDLE_TIMEOUT_S, follow_redirects=False)
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """A run has ended."""
        self._woken.set()

    def delivery(self, run: RunRecord, phase: Phase, conditions: tuple[Condition, ...], ended_at: datetime) -> Delivery:
        """What is to be told about a run that ends now."""
        return delivery_of(run, phase, conditions, ended_at, self._receiver.public_url)

    def stop(self) -> None:
        """Finish the attempt at work, and end; what is due is told after the next start."""
        self._stopping = True
        self._woken.set()
        self._thread.join(timeout=2 * IDLE_TIMEOUT_S)
        self.close()

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def tell_due(self) -> None:
        """One attempt at everything that is due."""
        for delivery in self._store.due_deliveries(self._clock.now()):
            if self._stopping:
                return
            self._note(delivery, self._attempt(delivery))

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            try:
                self.tell_due()
                due = self._store.next_delivery()
            except OperationalError as error:
                log.warning("the database does not answer: %s", error)
                due = self._clock.now() + timedelta(seconds=1)
            self._woken.wait(max(0.0, (due - self._clock.now()).total_seconds()) if due else None)

    def _attempt(self, delivery: Delivery) -> str:
        """Why it failed; empty when it was taken."""
        timestamp = int(self._clock.now().timestamp())
        try:
            # Read each time: the secret may be rotated while we run.
            signed = signature(read_secret(self._receiver.secret_file), delivery.id, timestamp, delivery.body)
        except (OSError, ValueError) as error:
            return f"the secret cannot be used: {error}"
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signed,
        }
        try:
            # The answer's body is not read: it may be endless.
            with self._http.stream("POST", self._receiver.url, content=delivery.body, headers=headers) as response:
                return "" if response.is_success else f"HTTP {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"{type(error).__name__}: {error}"

    def _note(self, delivery: Delivery, error: str) -> None:
        now, attempts = self._clock.now(), delivery.attempts + 1
        if not error:
            self._store.change_delivery(delivery, now, "WebhookDelivered", attempts=attempts, delivered_at=now)
            return
        if attempts >= self._receiver.attempts or error == f"HTTP {GONE}":
            log.error("webhook %s given up after %d attempts: %s", delivery.id, attempts, error)
            self._store.change_delivery(
                delivery, now, "WebhookGivenUp", attempts=attempts, given_up_at=now, error=error
            )
            return
        log.warning("webhook %s, attempt %d: %s", delivery.id, attempts, error)
        due = now + wait_after(attempts, self._receiver.retry_s)
        self._store.change_delivery(delivery, now, attempts=attempts, due_at=due, error=error)
