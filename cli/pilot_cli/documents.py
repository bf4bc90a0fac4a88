"""Files that people write: read with the place of every fault."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pilot_proto.dataset import Dataset
from pilot_proto.federation import Federation
from pilot_proto.presets import expand
from pilot_proto.problem import FieldError, InvalidDocument, validated

from pilot_cli.errors import USAGE, CommandError

KINDS = ("Run", "Federation", "Dataset")


@dataclass(frozen=True)
class Written:
    """A document and the text that it came from."""

    path: Path
    content: Any
    nodes: yaml.Node | None

    def place(self, pointer: str) -> str:
        """`file:line:column` of a JSON pointer, or of the nearest thing above it."""
        node = self.nodes
        mark = node.start_mark if node else None
        for part in [p.replace("~1", "/").replace("~0", "~") for p in pointer.split("/")[1:]]:
            found = _child(node, part)
            if found is None:
                break
            key, node = found
            mark = key.start_mark
        return f"{self.path}:{mark.line + 1}:{mark.column + 1}" if mark else str(self.path)


def read(path: Path) -> Written:
    """A YAML file.

    Raises:
        CommandError: it is missing, or not YAML; with the place.
    """
    try:
        text = path.read_text()
        return Written(path, yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader))
    except OSError as error:
        raise CommandError(f"{path} cannot be read", why=str(error), exit_code=USAGE) from error
    except yaml.YAMLError as error:
        raise CommandError(f"{path} is not YAML", why=str(error), exit_code=USAGE) from error


def check(written: Written) -> str:
    """Validate a document of any kind that people write; its kind.

    Raises:
        CommandError: every fault with its line and column.
    """
    kind = written.content.get("kind") if isinstance(written.content, dict) else None
    try:
        if kind == "Run":
            expand(written.content)
        elif kind == "Federation":
            validated(Federation, written.content, "federation")
        elif kind == "Dataset":
            validated(Dataset, written.content, "dataset")
        else:
            near = difflib.get_close_matches(str(kind), KINDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"kinds: {', '.join(KINDS)}"
            raise InvalidDocument(
                "document", [FieldError(pointer="/kind", message=f"unknown kind {kind!r}", hint=hint)]
            )
    except InvalidDocument as error:
        raise located(written, error.errors) from error
    return str(kind)


def located(written: Written, errors: tuple[FieldError, ...]) -> CommandError:
    """Faults at pointers, as faults at lines."""
    lines = [f"{written.place(e.pointer)}: {e.message}" + (f" ({e.hint})" if e.hint else "") for e in errors]
    return CommandError(f"{written.path} is not valid", why="\n".join(lines), exit_code=USAGE)


def _child(node: yaml.Node | None, part: str) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        item = node.value[int(part)]
        return item, item
    return None
