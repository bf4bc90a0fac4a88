"""The short estimate that a dry run ends with, made of what the aggregator answered."""

import json
from pathlib import Path
from typing import Any

from pilot_proto.federation import Client, FederationSpec
from pilot_proto.run import Run
from pilot_proto.targets import BadTarget

from pilot_cli.errors import CommandError
from pilot_cli.estimate import reading
from pilot_cli.estimate.assembly import ClientData, Question, estimate
from pilot_cli.estimate.memory import Sample
from pilot_cli.estimate.writing import brief

SAMPLE = Sample(text_tokens=128, answer_tokens=64)


def dry_run_lines(answer: Any, federation: Any) -> list[str]:
    """Of the aggregator's answers to a dry run and about its federation; says why where nothing can be counted."""
    run = Run.model_validate_json(_json(answer["run"]))
    spec = FederationSpec.model_validate_json(_json(federation["spec"]))
    folder = next((Path(offer.path) for offer in spec.models if offer.name == run.spec.model), None)
    if folder is None or not folder.is_dir():
        return [f"no estimate: the folder of {run.spec.model} is not on this machine; 'pilot estimate --model DIR'"]
    clients = [_known(client) for client in spec.clients if client.name in answer["clients"]]
    try:
        question = Question(run.spec, reading.read_model(folder), clients, SAMPLE)
        return brief(question, estimate(question))
    except (CommandError, BadTarget) as error:
        return [f"no estimate: {error}"]


def _known(client: Client) -> ClientData:
    return ClientData(client.name, client.task)


def _json(document: Any) -> str:
    return json.dumps(document)
