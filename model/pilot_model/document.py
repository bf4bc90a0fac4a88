"""`personal.json`: what an exported folder says about itself."""

from typing import Literal

from pilot_proto.assignment import FileRef
from pilot_proto.base import SchemaVersion, Stored
from pilot_proto.canonical import Digest
from pilot_proto.personal_model import Point
from pilot_proto.run import TrainingProgram
from pilot_proto.training import Lora, Quantization, Router
from pydantic import Field

PERSONAL_FILE = "personal.json"
CONNECTOR_FILE = "connector.safetensors"
TEXT_FOLDER = "text"
CARD_FILE = "README.md"


class BaseReference(Stored):
    """The base model that a personal model was tuned on."""

    name: str
    digest: Digest
    path: str
    """Where its folder was at export: a hint, tried last."""


class Personal(Stored):
    """One client's model at one point of a run."""

    schema_version: SchemaVersion = "pilot/v1"
    run: str
    uid: str
    round: int
    client: str
    task: str
    point: Point
    """`merged`: what the round published, with the client's private parts; `local`: its own model after its update."""
    base: BaseReference
    program: TrainingProgram
    """Which architecture the connector has."""
    router_tasks: tuple[str, ...] = ()
    """Stage 2: the tasks in the order of the router's rows."""
    router: Router = Router()
    client_adapter: bool
    """Whether psi^s is in the connector."""
    lora: Lora
    text: Literal["adapter", "folded"]
    """`adapter`: a peft folder beside the base; `folded`: its product is in the weights that this folder holds."""
    precision: Literal["bf16", "fp32"]
    """What it was trained and measured in."""
    base_quantization: Quantization = "none"
    """In what the base's frozen layers were held meanwhile."""
    max_new_tokens: int | None = Field(default=None, ge=1)
    """The longest answer that the client's evaluation allows, where the export knew it."""
    files: dict[str, FileRef]
    """Every file that the model is made of; the card may be edited."""
