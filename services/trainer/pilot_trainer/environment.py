"""What the orchestrator tells a trainer through its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilot_proto.names import PREPARER

from pilot_trainer.errors import BadConfiguration

TERMINATION_MESSAGE = Path("/dev/termination-log")

_NEEDED = (
    "AGGREGATOR_URL",
    "REGISTRY_URL",
    "RUN",
    "ROUND",
    "CLIENT",
    "INCARNATION",
    "TOKEN_FILE",
    "MODEL_DIR",
    "STATE_DIR",
)


@dataclass(frozen=True)
class Environment:
    """One attempt: who we are, what to do, where things stand."""

    aggregator_url: str
    registry_url: str
    run: str
    round: int
    client: str
    incarnation: str
    token_file: Path
    model_dir: Path
    data_dir: Path | None
    """None only for the preparer of round 0, which has no data."""
    state_dir: Path
    num_threads: int
    termination_message: Path | None
    patience_s: float
    """How long to wait for a service that is away, where nothing can be done without it."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Environment":
        """Raises BadConfiguration naming every variable that is missing or wrong."""
        client = environ.get("PILOT_CLIENT", "")
        needed = [*_NEEDED]
        needed += [] if client == PREPARER else ["DATA_DIR"]
        missing = [f"PILOT_{name}" for name in needed if not environ.get(f"PILOT_{name}")]
        if missing:
            raise BadConfiguration(f"not set: {', '.join(missing)}; a trainer is started by the aggregator")
        data = environ.get("PILOT_DATA_DIR")
        return cls(
            aggregator_url=environ["PILOT_AGGREGATOR_URL"],
            registry_url=environ["PILOT_REGISTRY_URL"],
            run=environ["PILOT_RUN"],
            round=_number(environ, "PILOT_ROUND", "0"),
            client=client,
            incarnation=environ["PILOT_INCARNATION"],
            token_file=_token_file(Path(environ["PILOT_TOKEN_FILE"])),
            model_dir=Path(environ["PILOT_MODEL_DIR"]),
            data_dir=Path(data) if data else None,
            state_dir=Path(environ["PILOT_STATE_DIR"]),
            num_threads=_number(environ, "OMP_NUM_THREADS", "1"),
            termination_message=termination_message(environ),
            patience_s=_number(environ, "PILOT_PATIENCE_S", "600"),
        )


def _token_file(file: Path) -> Path:
    if not file.is_file() or not file.read_text().strip():
        raise BadConfiguration(f"PILOT_TOKEN_FILE {file} holds no token; mount the client's credential there")
    return file


def _number(environ: Mapping[str, str], name: str, default: str) -> int:
    text = environ.get(name, default)
    if not text.isdecimal():
        raise BadConfiguration(f"{name} is {text!r}; it must be a whole number")
    return int(text)


def termination_message(environ: Mapping[str, str]) -> Path | None:
    """Where Kubernetes reads a container's last words, unless another file is named."""
    named = environ.get("PILOT_TERMINATION_MESSAGE")
    if named:
        return Path(named)
    return TERMINATION_MESSAGE if TERMINATION_MESSAGE.exists() else None
