"""Logging in to a deployment elsewhere, and choosing among those."""

import sys
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pilot_client.errors import ApiError, Unreachable
from pilot_client.transport import PREFIX, Token, Transport
from pilot_proto.names import check_name

from pilot_cli import contexts
from pilot_cli.context import elsewhere, find_endpoint
from pilot_cli.contexts import Context
from pilot_cli.errors import AUTH, MISSING, USAGE, CommandError
from pilot_cli.output import Format, Output, complaints, console, print_document, print_table

context = typer.Typer(help="Deployments that you have logged in to.", no_args_is_help=True)

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def login(
    url: Annotated[str, typer.Argument(help="Where the aggregator answers.")],
    registry: Annotated[str, typer.Option(help="Where the registry answers; found by itself in usual places.")] = "",
    name: Annotated[str, typer.Option("--context", help="What to call it; otherwise the name of the host.")] = "",
    key_file: Annotated[Path | None, typer.Option(help="A file with your key; without one it is asked for.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates of the authority that vouches for both.")] = None,
) -> None:
    """Remember a deployment and your key for it, and use it from now on."""
    url, name = _checked_url(url), name or _name_of(url)
    _check_context_name(name)
    _ask_version(url, "aggregator", ca_file)
    registry_url = _checked_url(registry) if registry else _find_registry(url, ca_file)
    _ask_version(registry_url, "registry", ca_file)
    key = _read_key(key_file)
    _try_key(url, key, ca_file)
    made = Context(url=url, registry_url=registry_url, key=key, ca_file=str(ca_file.resolve()) if ca_file else "")
    known = contexts.load()
    merged = {**known.contexts, name: made}
    contexts.save(known.model_copy(update={"current": name, "chosen_at": time.time(), "contexts": merged}))
    console.print(f"logged in to {url} as the context {name!r}, which is in force now", markup=False)
    if url.startswith("http:") and urlsplit(url).hostname not in LOOPBACK:
        complaints.print(f"warning: {url} is not encrypted; your key travels where others may read it", markup=False)


@context.command("ls")
def list_contexts(output: Output = Format.TABLE) -> None:
    """The deployments that are known, and which one is in force here."""
    known = contexts.load()
    in_force = elsewhere()
    rows = [
        {"context": name, "url": each.url, "registry": each.registry_url, "in_force": name == in_force}
        for name, each in sorted(known.contexts.items())
    ]
    if output is Format.NAME:
        for row in rows:
            console.print(row["context"], markup=False)
    elif output in (Format.JSON, Format.YAML):
        print_document({"items": rows}, output)
    else:
        table = [["*" if r["in_force"] else "", str(r["context"]), str(r["url"]), str(r["registry"])] for r in rows]
        print_table(["", "context", "aggregator", "registry"], table)
        if in_force not in known.contexts:
            console.print(f"in force here: {in_force or _of_this_folder()}", markup=False)


@context.command("use")
def use_context(name: str) -> None:
    """Use a deployment from now on, until another one is chosen or started."""
    known = contexts.load()
    contexts.find(known, name)
    contexts.save(known.model_copy(update={"current": name, "chosen_at": time.time()}))
    console.print(f"the context {name!r} is in force now", markup=False)


@context.command("rm")
def remove_context(name: str) -> None:
    """Forget a deployment and the key for it."""
    known = contexts.load()
    contexts.find(known, name)
    left = {other: each for other, each in known.contexts.items() if other != name}
    current = "" if known.current == name else known.current
    contexts.save(known.model_copy(update={"current": current, "contexts": left}))
    console.print(f"the context {name!r} is forgotten; its key stays good on the services", markup=False)


def _of_this_folder() -> str:
    try:
        return str(find_endpoint())
    except CommandError:
        return "nothing; 'pilot context use NAME' chooses one"


def _checked_url(text: str) -> str:
    parsed = urlsplit(text)
    if parsed.scheme not in ("http", "https") or not parsed.hostname:
        hint = "write it as http://HOST[:PORT] or https://HOST"
        raise CommandError(f"{text!r} is no address of a service", hint=hint, exit_code=USAGE)
    return text.rstrip("/")


def _name_of(url: str) -> str:
    host = (urlsplit(url).hostname or "").removeprefix("aggregator.")
    return host.replace(".", "-").replace(":", "-")[:40].strip("-")


def _check_context_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as error:
        raise CommandError(f"a context cannot be called {name!r}", why=str(error), exit_code=USAGE) from error


def _find_registry(url: str, ca_file: Path | None) -> str:
    """In the usual places: the next port, or the host's name with the other word in it."""
    parsed = urlsplit(url)
    places = [url.replace("aggregator", "registry")] if "aggregator" in (parsed.hostname or "") else []
    if parsed.port:
        places.append(url.replace(f":{parsed.port}", f":{parsed.port + 1}"))
    for place in places:
        try:
            _ask_version(place, "registry", ca_file)
        except (CommandError, ApiError, Unreachable):
            continue
        return place
    looked = f"looked at {', '.join(places)}" if places else ""
    hint = "give --registry URL"
    raise CommandError("where the registry answers is not known", why=looked, hint=hint, exit_code=USAGE)


def _ask_version(url: str, service: str, ca_file: Path | None) -> None:
    """Make sure that it is the service that it is taken for."""
    transport = Transport(url, Token(), ca_file=ca_file)
    try:
        told = transport.once("GET", f"{PREFIX}/version").json()
    except ValueError as error:
        raise CommandError(f"{url} is no service of Pilot", why="its answer is no JSON", exit_code=MISSING) from error
    finally:
        transport.close()
    found = told.get("service") if isinstance(told, dict) else None
    if found != service:
        hint = "the aggregator's address comes first, the registry's is --registry"
        raise CommandError(f"{url} is not the {service}, but {found or 'something else'}", hint=hint, exit_code=USAGE)


def _read_key(file: Path | None) -> str:
    try:
        if file is not None:
            key = file.read_text().strip()
        elif sys.stdin.isatty():
            key = str(typer.prompt("Key", hide_input=True)).strip()
        else:
            key = sys.stdin.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read", why=str(error), exit_code=USAGE) from error
    if not key:
        hint = "the notes of the installation say how to read it: 'helm get notes RELEASE'"
        raise CommandError("no key was given", hint=hint, exit_code=AUTH)
    return key


def _try_key(url: str, key: str, ca_file: Path | None) -> None:
    transport = Transport(url, Token(key), ca_file=ca_file)
    try:
        transport.once("GET", f"{PREFIX}/runs", params={"limit": 1})
    except ApiError as error:
        if error.status not in (401, 403):
            raise
        why = "it is not known there" if error.status == 401 else "it is not the key of a person"
        hint = "use the viewer's, the operator's or the admin's key of that deployment"
        raise CommandError(f"{url} refuses this key", why=why, hint=hint, exit_code=AUTH) from error
    finally:
        transport.close()
