"""The run files of the demo: Pilot and the two that it is compared with, with the settings measured for digits.

They differ in `method`, `rounds` and `merge` only, so that a comparison compares the methods.
"""

from collections.abc import Mapping
from typing import Literal

from pilot_digits.profiles import FederationName

Method = Literal["pilot", "local", "fedavg"]

RUN_FILES: Mapping[str, Method] = {"run.yaml": "pilot", "run-local.yaml": "local", "run-fedavg.yaml": "fedavg"}

_HEADER = """\
# {title}
# Every line that differs from the preset `{method}` says why. `pilot run -f {file} --dry-run` shows what it expands to.
apiVersion: pilot/v1alpha1
kind: Run
metadata: {{name: {name}}}
spec:
  model: digits-tiny
  method: {method}
  rounds: [{rounds}]
"""

_TRAINING = """\
  training:
    num_train_epochs: 6               # preset: 1. About 120 samples per client: one pass is 15 updates, too few to move
    effective_batch_size: 8           # preset: 16. The same reason
    max_length: 128                   # preset: 2048. All positions that this base model has; the longest sample has 42
    learning_rate:                    # preset: 2e-5 and 4e-5, for 7 B parameters. These are for 0.7 M, one pair for all
{rates}
    warmup_ratio: 0.0                 # preset: 0.03. 3 % of 90 updates is not worth having
    lora: {{r: 8, lora_alpha: 16, lora_dropout: 0.0}}    # preset: 64, 128, 0.05. Layers here are 96 wide, not 4096
"""

_RATE = "      {program}: {{connector: 1.0e-3, text: 3.0e-3}}"

_PILOT_CONNECTOR = """\
    connector:
      router: {init_std: 0.01}        # preset: 0.02. As measured; starts nearer to an even mixture
      cross_init: aggregated          # preset: own-stage-1. Starts from what the task agreed on; measured so
"""

_PRECISION = """\
    precision: fp32                   # preset: bf16. A whole run is then the same bytes after any interruption
"""

_NINE_CLIENTS_MERGE = """\
  merge:
    text: {neighbours: 2}             # preset: 6. Of 8 others that is nearly all; the nearest 2 mostly share the task
"""

_PILOT_MERGE: Mapping[FederationName, str] = {
    "digits": _NINE_CLIENTS_MERGE,
    "digits-noniid": _NINE_CLIENTS_MERGE,
    "digits-3": """\
  merge:
    text: {neighbours: 0}             # preset: 6. Nobody shares a task; chosen on `val`, see docs/few-clients.md
""",
}

_EVALUATION = """\
  evaluation: {samples: 100}          # preset: 200. All that the default test split has
"""

_TITLES: Mapping[Method, str] = {
    "pilot": "Pilot on digit scenes: the run of the demo.",
    "local": "Each client alone: what federating has to beat.",
    "fedavg": "One model for all clients: the mean of their adapters.",
}


def run_yaml(federation: FederationName, file: str) -> str:
    """The text of one of RUN_FILES. The run of the demo has the name of its federation."""
    method = RUN_FILES[file]
    programs = ["stage-1", "stage-2", "stage-2"] if method == "pilot" else ["plain"] * 3
    rates = "\n".join(_RATE.format(program=program) for program in sorted(set(programs)))
    name = federation if method == "pilot" else f"{federation}-{method}"
    parts = [
        _HEADER.format(title=_TITLES[method], method=method, file=file, name=name, rounds=", ".join(programs)),
        _TRAINING.format(rates=rates),
        _PILOT_CONNECTOR if method == "pilot" else "",
        _PRECISION,
        _PILOT_MERGE[federation] if method == "pilot" else "",
        _EVALUATION,
    ]
    return "".join(parts)
