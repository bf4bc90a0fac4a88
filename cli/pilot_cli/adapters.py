"""Adapters: fetch them, compare two, name one, delete one."""

from pathlib import Path
from typing import Annotated, Any

import typer
from pilot_proto.canonical import file_digest
from pilot_reports.numbers import size

from pilot_cli.context import server
from pilot_cli.errors import CONFLICT, FAILED, USAGE, CommandError
from pilot_cli.output import Format, Output, console, print_document, print_table

Reference = Annotated[str, typer.Argument(help="NAMESPACE/REPOSITORY[@REVISION]; default revision: main")]

alias = typer.Typer(help="Names for versions, such as best or prod.", no_args_is_help=True, rich_markup_mode=None)
adapters = typer.Typer(help="What cannot be taken back, as admin.", no_args_is_help=True, rich_markup_mode=None)


def pull(
    reference: Reference,
    out: Annotated[Path | None, typer.Option(help="A folder; default: ./REPOSITORY")] = None,
) -> None:
    """Fetch an adapter's files, verified. Example: 'pilot pull digits/client-vqa-1-text@round-3'."""
    repo, revision = parse(reference)
    folder = out or Path(repo.partition("/")[2])
    with server().registry() as registry:
        version = registry.get(f"adapters/{repo}/versions/{revision}")
        folder.mkdir(parents=True, exist_ok=True)
        for path, file in sorted(version["files"].items()):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            registry.fetch(repo, version["commit"], path, target)
            _verify(target, file["digest"])
            console.print(f"{target}  {size(file['size'])}", markup=False)
    if version["kind"] == "text":
        console.print("A text adapter alone is not the personal model: it was trained with its connector.")


def diff(first: Reference, second: Reference, output: Output = Format.TABLE) -> None:
    """Two adapters tensor by tensor: distance, cosine, relative change."""
    with server().registry() as registry:
        a, b = ("@".join(parse(each)) for each in (first, second))
        report = registry.get("compare", a=a, b=b)
    if output in (Format.JSON, Format.YAML):
        print_document(report, output)
        return
    rows = [
        [t["name"], f"{t['l2']:.6g}", _number(t.get("cosine")), _number(t.get("relative"))] for t in report["tensors"]
    ]
    print_table(["TENSOR", "DISTANCE", "COSINE", "RELATIVE"], rows, right=("DISTANCE", "COSINE", "RELATIVE"))
    console.print(f"in all: {report['l2']:.6g}", markup=False)


@alias.command("set")
def set_alias(
    reference: Reference,
    name: Annotated[str, typer.Argument(help="The alias, such as best.")],
) -> None:
    """Point an alias at a version. Example: 'pilot alias set digits/task-vqa-connector@round-2 best'."""
    repo, revision = parse(reference)
    with server().registry() as registry:
        commit = registry.get(f"adapters/{repo}/versions/{revision}")["commit"]
        known = {item["alias"]: item["commit"] for item in registry.get(f"adapters/{repo}/aliases")["items"]}
        registry.set_alias(repo, name, commit, known.get(name))
    console.print(f"{repo}@{name} is {commit[:12]}", markup=False)


@adapters.command("delete")
def delete(
    reference: Reference,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the name.")] = False,
) -> None:
    """Delete a version for ever, unless something stands on it. Example: 'pilot adapters delete
    digits/task-vqa-connector@round-1'."""
    repo, revision = parse(reference)
    with server("admin").registry() as registry:
        found = registry.get(f"adapters/{repo}/versions/{revision}/dependants")
        commit = found["version"]["commit"]
        _tell_dependants(found)
        if found["hindrances"]:
            raise CommandError(
                f"{repo}@{commit[:12]} cannot be deleted", why="; ".join(found["hindrances"]), exit_code=CONFLICT
            )
        if not yes and typer.prompt(f"This cannot be undone. Type {repo} to delete {commit[:12]}") != repo:
            raise CommandError("that is another name; nothing was deleted", exit_code=USAGE)
        registry.delete_version(repo, commit)
    console.print(f"{repo}@{commit[:12]} is deleted; its record stays", markup=False)


def _tell_dependants(found: Any) -> None:
    for name in found["aliases"]:
        console.print(f"alias {name} points to it", markup=False)
    for child in found["children"]:
        console.print(f"{child['repo']}@{child['commit'][:12]} was made of it", markup=False)
    if (more := found["children_count"] - len(found["children"])) > 0:
        console.print(f"and {more} more versions", markup=False)


def parse(reference: str) -> tuple[str, str]:
    """(repository, revision) of a reference.

    Raises:
        CommandError: it is not one.
    """
    repo, _, revision = reference.partition("@")
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise CommandError(f"{reference!r} is not NAMESPACE/REPOSITORY[@REVISION]", exit_code=USAGE)
    return repo, revision or "main"


def _verify(file: Path, digest: str) -> None:
    if (found := file_digest(file)) != digest:
        file.unlink()
        raise CommandError(f"{file.name} arrived as {found}, not {digest}", hint="try again", exit_code=FAILED)


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.6g}"
