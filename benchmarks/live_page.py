"""What a run's page costs while 200 clients train: CPU time of registry and aggregator, per page that is open.

Real services, and 200 stand-in trainers that are at work for as long as it takes. This program reports progress for
each of them once a second, as trainers do, and reads the page's stream as a browser does. What the services need
without a reader is measured first and told apart. The aim: under 10 % of one core for a page. `--quick` shows that it
works.
"""

import json
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from pilot_client.aggregator import AggregatorClient
from pilot_client.transport import Token, Transport
from pilot_proto.run import Progress

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from deployments import Harness, harness, run_document, write_federation

QUICK = "--quick" in sys.argv
CLIENTS, SECONDS = (20, 3) if QUICK else (200, 20)
STEPS = 1000
LIMIT = 0.10
RUN = "live"


class Reader:
    """A browser with the page open."""

    def __init__(self, url: str, key: str) -> None:
        self.events = self.bytes = 0
        self._open = True
        self._url, self._headers = url, {"Authorization": f"Bearer {key}"}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with httpx.stream("GET", self._url, headers=self._headers, timeout=60) as answer:
            for line in answer.iter_lines():
                self.bytes += len(line)
                self.events += line.startswith("data: {")
                if not self._open:
                    return

    def close(self) -> None:
        self._open = False
        self.thread.join()


def report(made: Harness, seconds: float) -> int:
    """Tell the progress of every client once a second; how often it was told."""
    transports = {
        name: Transport(
            made.deployment.aggregator_url, Token(file=made.deployment.keys / "clients" / f"{name}.key"), patience_s=10
        )
        for name in names()
    }
    told = 0
    with ThreadPoolExecutor(8) as pool:
        for step in range(int(seconds)):
            began = time.monotonic()
            progress = Progress(
                stage="training", step=step, total_steps=STEPS, loss=1 / (step + 1), samples_per_s=7.0, eta_s=60.0
            )
            sent = [
                pool.submit(AggregatorClient(transport).send_progress, RUN, 1, name, progress)
                for name, transport in transports.items()
            ]
            for each in sent:
                each.result()
            told += len(sent)
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
    for transport in transports.values():
        transport.close()
    return told


def names() -> list[str]:
    return [f"client-{i}" for i in range(CLIENTS)]


def cpu(made: Harness) -> dict[str, float]:
    """CPU seconds that each service has used so far, its children apart."""
    found = {}
    for service, process in made.deployment.processes.items():
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        found[service] = (int(fields[11]) + int(fields[12])) / 100
    return found


def measure(made: Harness, reader: Reader | None) -> dict[str, float]:
    """Shares of a core while clients report, with or without a reader."""
    before, began = cpu(made), time.monotonic()
    told = report(made, SECONDS)
    spent = time.monotonic() - began
    after = cpu(made)
    shares = {service: (after[service] - before[service]) / spent for service in before}
    heard = f", {reader.events} events, {reader.bytes / 1000:.0f} kB" if reader else ""
    print(
        f"{'a page open' if reader else 'nobody looks':<14} registry {shares['registry']:6.1%}"
        f"   aggregator {shares['aggregator']:6.1%}   ({told / spent:.0f} reports/s{heard})"
    )
    return shares


def main() -> None:
    """Measure and print; exit 1 when a page costs more than the aim."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        federation = write_federation(folder, {client: ("caption", "vqa")[i % 2] for i, client in enumerate(names())})
        with harness(folder / "d", federation=federation, jobs=CLIENTS, PILOT_AGGREGATOR_TICK_S="1") as made:
            made.faults(**{client.replace("-", "_"): {"hang": {"1": 600.0}} for client in names()})
            document = run_document(RUN, rounds=["plain"], participation={"stall_s": 900, "deadline_s": 900})
            made.aggregator.create_run(document)
            made.eventually(lambda: _at_work(made) == CLIENTS, 300)
            alone = measure(made, None)
            key = (made.deployment.keys / "operator.key").read_text().strip()
            reader = Reader(f"{made.deployment.registry_url}/ui/runs/{RUN}/live", key)
            watched = measure(made, reader)
            size = len(httpx.get(f"{made.deployment.registry_url}/ui/runs/{RUN}", headers=_as(key)).content)
            print(f"the page itself: {size / 1000:.0f} kB before packing")
            made.aggregator.cancel(RUN)
            reader.close()
    costs = {service: watched[service] - alone[service] for service in alone}
    print("a page costs: " + json.dumps({service: f"{share:.1%}" for service, share in costs.items()}))
    if sum(costs.values()) > LIMIT and not QUICK:
        sys.exit(f"above {LIMIT:.0%} of a core")


def _at_work(made: Harness) -> int:
    return sum(client.state == "Running" for client in made.aggregator.run(RUN).status.clients)


def _as(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Accept": "text/html"}


if __name__ == "__main__":
    main()
