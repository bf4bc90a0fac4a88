"""Editing the text of a `federation.yaml` in place: comments, order and style stay as they were written. Pure.

YAML has no way to write a document back as it was, so an edit inserts or replaces a few characters at places that the
parser names. Whether the result says what it should is for the caller to check.
"""

import json
from dataclasses import dataclass

import yaml

NEWLINE = "\n"


class CannotEdit(Exception):
    """The text is written in a way that these edits do not know."""


def with_entry(text: str, sequence: str, entry: dict[str, str]) -> str:
    """The text with one more entry at the end of `spec.{sequence}`.

    Raises:
        CannotEdit: there is no such sequence, or none with an entry to stand after.
    """
    found = _child(_child(yaml.compose(text, Loader=yaml.SafeLoader), "spec"), sequence)
    if not isinstance(found, yaml.SequenceNode) or not found.value:
        raise CannotEdit(f"spec.{sequence} holds no entries")
    last = found.value[-1]
    if found.flow_style:
        return _inserted(text, Insertion(last.end_mark.index, f", {_flow(entry)}"))
    column = found.start_mark.column
    body = [_flow(entry)] if last.flow_style else [f"{key}: {_scalar(value)}" for key, value in entry.items()]
    lines = [("- " if i == 0 else "  ") + line for i, line in enumerate(body)]
    return _inserted(text, _lines_after(text, last, column, lines))


def with_disabled(text: str, client: str, disabled: bool) -> str:
    """The text with `disabled` of a client set.

    Raises:
        CannotEdit: there is no such client.
    """
    clients = _child(_child(yaml.compose(text, Loader=yaml.SafeLoader), "spec"), "clients")
    entries = clients.value if isinstance(clients, yaml.SequenceNode) else []
    entry = next((e for e in entries if _text(_child(e, "name")) == client), None)
    if not isinstance(entry, yaml.MappingNode):
        raise CannotEdit(f"spec.clients holds no entry named {client!r}")
    word = "true" if disabled else "false"
    if (before := _child(entry, "disabled")) is not None:
        return text[: before.start_mark.index] + word + text[before.end_mark.index :]
    if not disabled:
        return text
    if entry.flow_style:
        return _inserted(text, Insertion(entry.value[-1][1].end_mark.index, f", disabled: {word}"))
    return _inserted(text, _lines_after(text, entry, entry.start_mark.column, [f"disabled: {word}"]))


@dataclass(frozen=True)
class Insertion:
    index: int
    text: str


def _inserted(text: str, insertion: Insertion) -> str:
    return text[: insertion.index] + insertion.text + text[insertion.index :]


def _lines_after(text: str, node: yaml.Node, column: int, lines: list[str]) -> Insertion:
    """Whole lines behind the line on which a block node's last value ends; a comment there stays where it is."""
    end = _last(node).end_mark.index
    newline = text.find(NEWLINE, end)
    block = [" " * column + line + NEWLINE for line in lines]
    if newline < 0:
        return Insertion(len(text), NEWLINE + "".join(block))
    return Insertion(newline + 1, "".join(block))


def _last(node: yaml.Node) -> yaml.Node:
    """The last value inside a node. A block's own end is only where the next thing begins, behind all comments."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _text(node: yaml.Node | None) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _flow(entry: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in entry.items()) + "}"


def _scalar(value: str) -> str:
    """As people write it, where YAML reads the same; in quotes otherwise."""
    plain = value.replace("-", "").replace("_", "").replace("/", "").replace(".", "").isalnum()
    return value if plain and yaml.safe_load(value) == value else json.dumps(value)
