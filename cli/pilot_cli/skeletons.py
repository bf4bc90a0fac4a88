"""The files that a new federation starts from, as text with a comment at every field. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilot_data.importing.description import SKELETON, Description, dataset_text, scalar
from pilot_data.importing.instructions import METRICS

PAPER_NEIGHBOURS, PAPER_OTHERS = 6, 8
_TITLES = {"vqa": "questions about images", "caption": "captions", "grounding": "boxes of what a sentence describes"}
_METRICS: Mapping[str, str] = {str(kind): metric for kind, metric in METRICS.items()}
# An answer's room in tokens until an import has seen the real ones.
_MAX_NEW_TOKENS = {"vqa": 16, "caption": 64, "grounding": 32}


@dataclass(frozen=True)
class Department:
    """A client to be."""

    name: str
    task: str

    @property
    def data(self) -> str:
        return f"data/{self.name}"


def files(federation: str, model: str, model_path: str, departments: Sequence[Department]) -> Mapping[str, str]:
    """Every file by its path in the new folder.

    Args:
        federation: its name, and the first run's.
        model: what a run calls the base model.
    """
    return {
        "federation.yaml": federation_text(federation, model, model_path, departments),
        "run.yaml": run_text(federation, model, departments),
        **{f"{each.data}/dataset.yaml": _dataset_text(each) for each in departments},
    }


def federation_text(name: str, model: str, model_path: str, departments: Sequence[Department]) -> str:
    """`federation.yaml`."""
    tasks = [f"    - {{name: {scalar(t)}, title: {_TITLES.get(t, t)}}}" for t in _tasks(departments)]
    clients = [f"    - {{name: {scalar(d.name)}, task: {scalar(d.task)}, data: {scalar(d.data)}}}" for d in departments]
    return "\n".join(
        [
            "# What this deployment knows: base models, tasks, and whose data is for which.",
            "# Next: fill data/*/ (pilot data import), then pilot up --federation federation.yaml",
            "apiVersion: pilot/v1alpha1",
            "kind: Federation",
            f"metadata: {{name: {scalar(name)}}}",
            "spec:",
            "  models:",
            f"    - name: {scalar(model)}    # what a run calls it",
            f"      path: {scalar(model_path)}    # a folder in the Hugging Face LLaVA layout; relative to this file",
            "  tasks:    # kinds of instruction data; their names and the clients' are one name space",
            *tasks,
            "  clients:    # data owners, each with one task and a folder of its own, which its trainer only reads",
            *clients,
            "",
        ]
    )


def run_text(name: str, model: str, departments: Sequence[Department]) -> str:
    """`run.yaml`: the paper's settings for LLaVA-1.5-7B, and what changes with this few clients."""
    count = len(departments)
    quorum = math.ceil(0.8 * count)
    return f"""\
# The paper's settings for LLaVA-1.5-7B (arXiv 2501.13985). What is left out keeps its default.
# pilot run -f run.yaml --dry-run shows everything that it expands to, and what the rules come to with these clients.
apiVersion: pilot/v1alpha1
kind: Run
{_noted(f"metadata: {{name: {scalar(name)}}}", "first part of every adapter's name; stays taken after the run")}
spec:
{_noted(f"  model: {scalar(model)}", "as federation.yaml calls it")}
  method: pilot                        # local and fedavg are what to compare it with
  rounds: [stage-1, stage-2, stage-2]  # what each round's local update executes
  clients: all                         # or a list of names
  training:
    num_train_epochs: 1                # passes over a client's data in each round
    effective_batch_size: 16           # samples per optimiser step, on however many GPUs
    micro_batch_size: auto             # samples per forward pass; auto takes the largest that fits
    gradient_checkpointing: true       # less memory, about a third more time; false where memory is plenty
    max_length: 2048                   # tokens, 576 of them for an image; longer samples are cut, and counted
    learning_rate:                     # of the connector and of LoRA, for each stage
      stage-1: {{connector: 2.0e-5, text: 2.0e-5}}
      stage-2: {{connector: 4.0e-5, text: 4.0e-5}}
    lora: {{r: 64, lora_alpha: 128, lora_dropout: 0.05}}
    precision: bf16                    # of the frozen base; what is trained and sent is F32 always
    seed: 0
  merge:
    connector: {{rule: per-task-mean}}   # a task of one client keeps that client's connector, as it is
{_noted(f"    text: {{rule: nearest, neighbours: {neighbours(count)}}}", _of_neighbours(departments))}
  participation:
    quorum: "80%"                      # rounded up: {quorum} of {count} must answer, or the round fails
  evaluation: {{split: test, samples: 200}}   # samples per client; choose settings with split: val
"""


def _noted(text: str, note: str) -> str:
    return f"{text:<38} # {note}"


def neighbours(num_clients: int) -> int:
    """The paper's share of the others, rounded down; at least one."""
    return max(1, (num_clients - 1) * PAPER_NEIGHBOURS // PAPER_OTHERS)


def _of_neighbours(departments: Sequence[Department]) -> str:
    if len(_tasks(departments)) == len(departments):
        return "no two share a task: 0 measured better, docs/few-clients.md"
    return "the paper: 6 of 8 others"


def _tasks(departments: Sequence[Department]) -> list[str]:
    return list(dict.fromkeys(each.task for each in departments))


def _dataset_text(department: Department) -> str:
    task = department.task
    described = Description(
        client=department.name,
        task=task,
        metric=_METRICS.get(task, "token-f1"),
        max_new_tokens=_MAX_NEW_TOKENS.get(task, 64),
        box_frame="padded" if task == "grounding" else None,
        splits=["train", "val", "test"],
    )
    title = (
        f"{SKELETON.removeprefix('# ')}`pilot data import ... --out {department.data}` puts the real folder here.\n"
        "Or put train.json, val.json, test.json (LLaVA JSON) and images here yourself, and delete this comment."
    )
    return dataset_text(described, title)
