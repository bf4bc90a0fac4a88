"""`pilot export` where the private state is elsewhere: a Job of the client makes the folder on the client's volume."""

import json
import time

from pilot_client.aggregator import AggregatorClient
from pilot_client.errors import Unreachable
from pilot_proto.personal_model import ExportOrder, ExportView

from pilot_cli.errors import FAILED, CommandError
from pilot_cli.output import console

POLL_S = 1.0
AT_WORK = frozenset({"Intended", "Queued", "Pending", "Running", "Unknown"})


def make(aggregator: AggregatorClient, run: str, number: int, client: str, order: ExportOrder) -> ExportView:
    """Order an export, and show how it goes until it ends. Whoever leaves early finds it again by the same command.

    Raises:
        CommandError: the Job ended without a model.
    """
    made = _follow(aggregator, aggregator.order_export(run, number, client, order), order)
    if made.state != "Succeeded":
        raise CommandError(
            f"the export of {client!r} ended: {made.state}",
            why=made.message,
            hint=f"'kubectl -n {made.namespace} logs job/{made.job}' has its log; the same command tries again",
            exit_code=FAILED,
        )
    return made


def tell_place(made: ExportView) -> None:
    """Where the folder is, and how it comes here."""
    where = f"the claim {made.claim}, namespace {made.namespace}" if made.claim else "the volume of the client's state"
    console.print(f"{made.folder} on {where}", markup=False, soft_wrap=True)
    if not made.pod:
        return
    console.print("It is the client's data. This copies it here, through a pod that only reads:\n", markup=False)
    console.print("\n".join(copying(made)), markup=False, soft_wrap=True)


def copying(made: ExportView) -> list[str]:
    """Shell commands that bring the folder of an export to where they are run."""
    namespace, pod = made.namespace, made.pod["metadata"]["name"]
    return [
        f"kubectl apply -f - <<'EOF'\n{json.dumps(made.pod)}\nEOF",
        f"kubectl -n {namespace} wait --for=condition=Ready pod/{pod} --timeout=300s",
        f"kubectl -n {namespace} cp {pod}:{made.path} {made.client}-model",
        f"kubectl -n {namespace} delete pod {pod}",
    ]


def _follow(aggregator: AggregatorClient, made: ExportView, order: ExportOrder) -> ExportView:
    told = ""
    while True:
        line = f"{made.job}: {made.state} {made.message}".rstrip()
        if line != told:
            console.print(line, markup=False, soft_wrap=True)
            told = line
        if made.state not in AT_WORK:
            return made
        time.sleep(POLL_S)
        try:
            made = aggregator.export(made.run, made.round, made.client, order)
        except Unreachable:
            # It restarts, and the Job goes on; so does watching it.
            continue
