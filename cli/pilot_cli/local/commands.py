"""`pilot up` and `pilot demo`: the services on this machine."""

import json
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from yaml import YAMLError

from pilot_cli.context import ENDPOINT, STATE_DIR
from pilot_cli.errors import USAGE, CommandError
from pilot_cli.local.demonstration import RUN_FILES, Demonstration
from pilot_cli.local.services import Deployment
from pilot_cli.output import console

DEFAULT_PORT = 8600

Port = Annotated[int, typer.Option(help="The aggregator's; the registry takes the next one.")]
State = Annotated[Path, typer.Option(help="Where everything is kept.")]


def up(
    port: Port = DEFAULT_PORT,
    state: State = STATE_DIR / "up",
    federation: Annotated[Path | None, typer.Option(help="federation.yaml; default: the digits federation.")] = None,
    gpus: Annotated[str, typer.Option(help="Devices to hand out to jobs, such as 0,1.")] = "",
) -> None:
    """Run registry and aggregator on this machine until Ctrl-C. Its state folder survives restarts."""
    state.mkdir(parents=True, exist_ok=True)
    file = federation or _digits_of(state / "digits")
    devices = tuple(device.strip() for device in gpus.split(",") if device.strip())
    deployment = Deployment(state.resolve(), file.resolve(), port, devices)
    start(deployment)
    console.print(f"aggregator  {deployment.aggregator_url}", markup=False)
    console.print(f"pages       {deployment.registry_url}/ui  (sign in with a key)", markup=False)
    console.print(f"keys        {deployment.keys}  (viewer.key looks, operator.key acts, admin.key)", markup=False)
    console.print(f"federation  {deployment.federation}", markup=False)
    console.print("Ctrl-C stops both; runs go on at the next start.")
    keep_up(deployment)


def demo(
    exit_after: Annotated[bool, typer.Option("--exit", help="Stop the services at the end.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result here too.")] = None,
    through: Annotated[int | None, typer.Option(help="Only the first N rounds.", min=1)] = None,
    method: Annotated[str, typer.Option(help="pilot, local or fedavg")] = "pilot",
    compare: Annotated[str, typer.Option(help="Other methods to run beside it: local,fedavg")] = "",
    federation: Annotated[str, typer.Option(help="digits, digits-3 or digits-noniid")] = "digits",
    port: Port = DEFAULT_PORT,
    state: State = STATE_DIR / "demo",
) -> None:
    """Clients with three tasks tune a tiny multimodal model on this machine, with the real services."""
    methods = [method, *(name.strip() for name in compare.split(",") if name.strip())]
    for name in methods:
        if name not in RUN_FILES:
            raise CommandError(f"unknown method {name!r}", hint=f"methods: {', '.join(RUN_FILES)}", exit_code=USAGE)
    began = time.monotonic()
    file = _digits(state / federation, federation)
    deployment = Deployment(state.resolve(), file.resolve(), port)
    console.print(f"Everything of this demo is in {state}; 'make clean' removes it.", markup=False)
    start(deployment)
    try:
        shown = Demonstration(deployment, file.parent, through)
        names = [shown.run(name) for name in methods]
        shown.show(names, json_file, time.monotonic() - began)
        if exit_after:
            return
        _what_next(deployment, names[0], shown.last_round(names[0]))
        keep_up(deployment)
    finally:
        stop(deployment)


def start(deployment: Deployment) -> None:
    """Start the services and say where they are to commands started from here."""
    deployment.start()
    announce(deployment)


def announce(deployment: Deployment) -> None:
    """Say where the services are to commands started from here."""
    known = {
        "aggregator": deployment.aggregator_url,
        "registry": deployment.registry_url,
        "keys": str(deployment.keys),
        "state": str(deployment.state),
        "federation": str(deployment.federation),
    }
    (deployment.state / ENDPOINT).write_text(json.dumps(known))


def stop(deployment: Deployment) -> None:
    """Stop the services; commands started from here find nothing any more."""
    (deployment.state / ENDPOINT).unlink(missing_ok=True)
    deployment.stop()


def keep_up(deployment: Deployment) -> None:
    """Until Ctrl-C or SIGTERM; a service that dies is started again, and goes on where it was."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        with suppress(KeyboardInterrupt):
            while not ending.wait(1):
                # Somebody may have added a client to the file. One with a fault is the aggregator's to complain of.
                with suppress(OSError, KeyError, TypeError, YAMLError):
                    deployment.make_keys()
                for name in deployment.dead():
                    console.print(f"the {name} ended; starting it again", markup=False)
                    deployment.start_service(name)
                    deployment.wait_ready(name)
    finally:
        stop(deployment)


def _digits(folder: Path, name: Any) -> Path:
    from pilot_digits.federation import write_federation
    from pilot_digits.profiles import FEDERATIONS

    if name not in FEDERATIONS:
        hint = f"federations: {', '.join(FEDERATIONS)}"
        raise CommandError(f"unknown federation {name!r}", hint=hint, exit_code=USAGE)
    return write_federation(name, folder)


def _digits_of(folder: Path) -> Path:
    """The digits federation of a state folder. Once it is there it is the user's: clients may have been added."""
    file = folder / "federation.yaml"
    return file if file.exists() else _digits(folder, "digits")


def _what_next(deployment: Deployment, run: str, last: int) -> None:
    console.print(f"\nThe registry's pages: {deployment.registry_url}/ui", markup=False)
    console.print(f"  sign in with the key in {deployment.keys / 'operator.key'}; viewer.key only looks", markup=False)
    console.print("Try next, in another terminal:")
    console.print(
        f"  pilot describe round {run}/1        who was merged with whom, and how much each weighs", markup=False
    )
    console.print(f"  pilot verify {run} {last}                recompute a merge and compare the bytes", markup=False)
    console.print(f"  pilot get adapters {run}            what the registry holds", markup=False)
    console.print(
        f"  pilot export {run} --client vqa-1 --out my-model   a client's personal model, to take away", markup=False
    )
    console.print("Ctrl-C stops the services.")
