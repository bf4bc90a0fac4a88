"""Settings, from the environment (`PILOT_AGGREGATOR_*`)."""

from pathlib import Path
from typing import Literal

from pilot_http.identity import IdentitySettings
from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict


class Settings(IdentitySettings):
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
    port: int = Field(default=8600, ge=0, le=65535)
    allowed_hosts: list[str] = Field(default_factory=lambda: ["127.0.0.1", "localhost", "[::1]"])
    tls_cert_file: Path | None = None
    """PEM certificate chain; with it the service speaks HTTPS only."""
    tls_key_file: Path | None = None
    """Its private key."""
    backend: Literal["local", "kubernetes"] = "local"
    job_templates: Path | None = None
    """The folder with the Job skeleton of each client, for the Kubernetes backend."""
    kubeconfig: Path | None = Field(default=None, validation_alias=AliasChoices("KUBECONFIG", "kubeconfig"))
    """How to reach a cluster from outside; inside one the pod's own ServiceAccount does."""
    lease: str = ""
    """The Lease that decides which of several replicas leads. Empty for one aggregator on its database."""
    pod_namespace: str = "default"
    """Where the Lease is."""
    job_ttl_s: int = Field(default=3600, ge=0)
    """How long a Kubernetes Job and its log are kept once its outcome is stored."""
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
    def _a_certificate_has_its_key(self) -> "Settings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("PILOT_AGGREGATOR_TLS_CERT_FILE and _TLS_KEY_FILE belong together: give both, or neither")
        return self

    @model_validator(mode="after")
    def _a_webhook_is_signed(self) -> "Settings":
        if self.webhook_url and self.webhook_secret_file is None:
            raise ValueError("a webhook is signed: PILOT_AGGREGATOR_WEBHOOK_URL needs _WEBHOOK_SECRET_FILE beside it")
        return self

    @model_validator(mode="after")
    def _kubernetes_has_templates(self) -> "Settings":
        if self.backend == "kubernetes" and self.job_templates is None:
            raise ValueError("Jobs are made from templates: PILOT_AGGREGATOR_BACKEND=kubernetes needs _JOB_TEMPLATES")
        return self

    @model_validator(mode="after")
    def _replicas_share_a_database(self) -> "Settings":
        if self.lease and (self.backend != "kubernetes" or not self.database_url):
            raise ValueError("PILOT_AGGREGATOR_LEASE is for replicas: it needs _BACKEND=kubernetes and _DATABASE_URL")
        return self

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'aggregator.sqlite'}"
