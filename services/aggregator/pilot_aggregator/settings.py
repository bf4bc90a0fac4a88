"""Settings, from the environment (`PILOT_AGGREGATOR_*`)."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PILOT_AGGREGATOR_", frozen=True)

    state_dir: Path
    """Database, spool and local jobs. One aggregator per folder."""
    federation: Path
    """`federation.yaml`."""
    keys: Path
    """The key file; its hashes only."""
    key_dir: Path
    """Where this machine's keys are: `aggregator.key`, and `clients/NAME.key` for local jobs."""
    registry_url: str
    public_url: str = ""
    """Where trainers reach this service; empty for the address it listens on."""
    database_url: str = ""
    """Empty for SQLite in the state folder."""
    host: str = "127.0.0.1"
    port: int = 8600
    allowed_hosts: list[str] = Field(default_factory=lambda: ["127.0.0.1", "localhost", "[::1]"])
    backend: Literal["local"] = "local"
    job_entry: str = "pilot_trainer.program:run"
    """What a local job calls, as `module:function`."""
    max_parallel: int = Field(default=2, ge=1)
    """Local jobs at a time, when no GPUs are named."""
    gpus: list[str] = Field(default_factory=list)
    """Devices to hand out, one to each local job."""
    threads_per_job: int = Field(default=1, ge=1)
    """More than cores / max_parallel makes every job many times slower."""
    tick_s: float = Field(default=1.0, gt=0)
    """How often a run is looked at when nobody reports."""
    webhook_url: str = Field(default="", pattern=r"^(https?://.*)?$")
    """Told once when a run ends, whatever the run says. Empty for nobody."""
    webhook_secret_file: Path | None = None
    """What the webhook is signed with: `whsec_` and base64, or any text of at least 16 characters."""
    webhook_attempts: int = Field(default=12, ge=1)
    """Then it is given up, and the log and the metrics say so."""
    webhook_retry_s: float = Field(default=5.0, gt=0)
    """Before the second attempt; each further wait is twice as long, up to an hour."""

    @model_validator(mode="after")
    def _a_webhook_is_signed(self) -> "Settings":
        if self.webhook_url and self.webhook_secret_file is None:
            raise ValueError("a webhook is signed: PILOT_AGGREGATOR_WEBHOOK_URL needs _WEBHOOK_SECRET_FILE beside it")
        return self

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'aggregator.sqlite'}"
