"""Deployments that a person has logged in to: one file of their own, which holds keys and nobody else may read."""

import os
import tempfile
from pathlib import Path

import typer
import yaml
from pilot_proto.base import Request, as_json
from pilot_proto.problem import InvalidDocument, validated

from pilot_cli.errors import MISSING, CommandError

FILE = "contexts.yaml"
CONFIG_DIR = "PILOT_CONFIG_DIR"
"""Names another folder than the user's own for settings."""


class Context(Request):
    """One deployment, as somebody."""

    url: str
    registry_url: str
    key: str
    ca_file: str = ""
    """Certificates of the authority that vouches for both services, if the system does not know it."""


class Contexts(Request):
    current: str = ""
    chosen_at: float = 0.0
    """When `current` was chosen, in seconds since 1970: what a person did last counts."""
    contexts: dict[str, Context] = {}  # noqa: RUF012


def place() -> Path:
    """Where the file is."""
    named = os.environ.get(CONFIG_DIR)
    return Path(named or typer.get_app_dir("pilot")) / FILE


def load() -> Contexts:
    """All of them; none, where nobody has logged in.

    Raises:
        CommandError: the file cannot be used.
    """
    file = place()
    try:
        return validated(Contexts, yaml.safe_load(file.read_text()) or {}, "file of contexts")
    except FileNotFoundError:
        return Contexts()
    except (OSError, yaml.YAMLError, InvalidDocument) as error:
        hint = "repair it, or delete it and log in again"
        raise CommandError(f"{file} cannot be used", why=str(error), hint=hint) from error


def save(contexts: Contexts) -> None:
    """Replace the file, closed to others from its first byte on.

    Raises:
        CommandError: it cannot be written.
    """
    file = place()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made with mode 0600.
        descriptor, part = tempfile.mkstemp(dir=file.parent, prefix=f".{FILE}.")
        try:
            with os.fdopen(descriptor, "w") as out:
                yaml.safe_dump(as_json(contexts), out, sort_keys=False)
            os.replace(part, file)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        hint = f"make it writable, or name another folder in {CONFIG_DIR}"
        raise CommandError(f"{file} cannot be written", why=str(error), hint=hint) from error


def find(contexts: Contexts, name: str) -> Context:
    """The context of a name.

    Raises:
        CommandError: there is none.
    """
    if name not in contexts.contexts:
        known = ", ".join(sorted(contexts.contexts)) or "none yet; 'pilot login URL' makes one"
        raise CommandError(f"there is no context {name!r}", hint=f"contexts: {known}", exit_code=MISSING)
    return contexts.contexts[name]
