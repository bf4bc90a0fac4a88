"""Who leads, among replicas on one database: a Lease, and the fence that it gives to every write.

A Lease alone only advises: a leader that was paused does not know that it has been replaced. So each term has a number,
the fence, higher than any before it in the Lease or in the store, and the store refuses whoever writes with another.
Renewing has a thread of its own, and whoever cannot renew stops leading before another may begin. The Service is moved
along with the Lease (`signpost`).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pilot_aggregator.jobs.kubernetes.api import LEASES, Cluster, Refused
from pilot_aggregator.jobs.kubernetes.signpost import pod_of, point
from pilot_aggregator.jobs.kubernetes.templates import Object

log = logging.getLogger(__name__)

DURATION_S = 15
"""Others wait this long for a sign of life."""
RENEW_WITHIN_S = 10.0
"""Who has not renewed for this long leads no more."""
RETRY_S = 2.0

NEW: Object = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}


@dataclass(frozen=True)
class Sighting:
    """A Lease as it was last seen to change, and when, by our own clock: clocks of others are not to be trusted."""

    holder: str
    renewed: str
    at: float


def claim(spec: Object, seen: Sighting | None, identity: str, now: float, floor: int) -> Object | None:
    """What to write into the Lease to hold it from now on, or None while another holds it. Pure, but for the clock that
    others read.

    `floor` is the highest fence that the store has seen.
    """
    holder, transitions = spec.get("holderIdentity") or "", int(spec.get("leaseTransitions") or 0)
    written = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if holder == identity:
        return {**spec, "renewTime": written}
    if holder and (seen is None or now - seen.at <= float(spec.get("leaseDurationSeconds", DURATION_S))):
        return None
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": DURATION_S,
        "leaseTransitions": max(transitions, floor) + 1,
        "acquireTime": written,
        "renewTime": written,
    }


class Lease:
    """One Lease, tried for until held, then kept until lost or given back."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Cluster]],
        name: str,
        identity: str,
        floor: Callable[[], int],
        retry_s: float = RETRY_S,
    ) -> None:
        """`identity` begins with the name of this pod (`signpost.identity`)."""
        self._connect, self._name, self._identity, self._floor = connect, name, identity, floor
        self._retry_s = retry_s
        self._seen: Sighting | None = None
        self._former = ""
        """Who held it before."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.fence: int | None = None
        """Of the present term; None for who does not lead."""

    def start(self, lead: Callable[[int], None], lost: Callable[[], None]) -> None:
        """`lead` is called with the fence once the Lease is held, `lost` once it is held no more. Each at most once."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(lead, lost)), name="lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give the Lease back, so that a successor need not wait."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    async def _run(self, lead: Callable[[int], None], lost: Callable[[], None]) -> None:
        cluster = await self._connect()
        try:
            # A process that was started again in the pod of a leader has yet to lead.
            while not self._stopping.is_set() and not await self._point(cluster, {self._identity: False}):
                await self._pause()
            while not self._stopping.is_set():
                if (fence := await self._try(cluster)) is not None:
                    await self._lead(cluster, fence, lead, lost)
                    return
                await self._pause()
        finally:
            await cluster.close()

    async def _lead(self, cluster: Cluster, fence: int, lead: Callable[[int], None], lost: Callable[[], None]) -> None:
        log.info("leading, in term %d", fence)
        self.fence = fence
        try:
            lead(fence)
            await self._keep(cluster)
        except Exception:
            log.exception("this aggregator cannot lead")
        if self._stopping.is_set():
            await self._give_back(cluster)
            return
        log.error("the lease %s is lost; another may lead now", self._name)
        self.fence = None
        lost()

    async def _keep(self, cluster: Cluster) -> None:
        """Renew until told to stop, or until it is too late."""
        renewed, found = time.monotonic(), False
        while not self._stopping.is_set() and time.monotonic() - renewed < RENEW_WITHIN_S:
            found = found or await self._point(cluster, {self._former: False, self._identity: True})
            await self._pause()
            begun = time.monotonic()
            if await self._try(cluster) == self.fence:
                renewed = begun
            elif self._seen and self._seen.holder not in ("", self._identity):
                return

    async def _point(self, cluster: Cluster, where: dict[str, bool]) -> bool:
        """Whether the Service leads to these pods, or not to them, after this."""
        try:
            for identity, here in where.items():
                await asyncio.wait_for(point(cluster, pod_of(identity), here=here), RENEW_WITHIN_S / 2)
        except Exception as error:
            log.warning("the Service is not moved: %s", error or type(error).__name__)
            return False
        return True

    async def _try(self, cluster: Cluster) -> int | None:
        """The fence, if the Lease is held after this."""
        try:
            return await asyncio.wait_for(self._write(cluster), RENEW_WITHIN_S / 2)
        except Exception as error:
            if not (isinstance(error, Refused) and error.status == 409):
                log.warning("the lease %s: %s", self._name, error or type(error).__name__)
        return None

    async def _write(self, cluster: Cluster) -> int | None:
        known = await cluster.get(LEASES, self._name)
        # The chart makes it without a spec, so that the aggregator needs no right to make Leases.
        lease: Object = known or {**NEW, "metadata": {"name": self._name}}
        self._note(lease.get("spec") or {})
        spec = claim(lease.get("spec") or {}, self._seen, self._identity, time.monotonic(), self._floor())
        if spec is None:
            return None
        if (holder := (lease.get("spec") or {}).get("holderIdentity") or "") != self._identity:
            self._former = holder
        lease = {**lease, "spec": spec}
        written = await (cluster.replace(LEASES, self._name, lease) if known else cluster.create(LEASES, lease))
        self._note(written["spec"])
        fence: int = written["spec"]["leaseTransitions"]
        return fence

    def _note(self, spec: Object) -> None:
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if self._seen is None or (self._seen.holder, self._seen.renewed) != (holder, renewed):
            self._seen = Sighting(holder, renewed, time.monotonic())

    async def _give_back(self, cluster: Cluster) -> None:
        known = await cluster.get(LEASES, self._name)
        if known and known.get("spec", {}).get("holderIdentity") == self._identity:
            await cluster.replace(LEASES, self._name, {**known, "spec": {**known["spec"], "holderIdentity": ""}})

    async def _pause(self) -> None:
        await asyncio.to_thread(self._stopping.wait, self._retry_s)
