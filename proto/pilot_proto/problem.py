"""What went wrong, for people and programs: problem+json (RFC 9457) with a code, a hint and the faulty fields."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from pilot_proto.base import Stored

M = TypeVar("M", bound=BaseModel)


class FieldError(Stored):
    """One faulty place in a document."""

    pointer: str
    """A JSON pointer (RFC 6901) to the place."""
    message: str
    hint: str = ""


class Problem(Stored):
    """The body of every error response."""

    type: str
    title: str
    status: int
    code: str
    """Stable, for programs."""
    detail: str
    """What was wrong, with the value, and the rule."""
    hint: str = ""
    """What to do next."""
    instance: str = ""
    errors: tuple[FieldError, ...] = ()


class InvalidDocument(ValueError):
    """A document that people write has faults; all of them are listed."""

    def __init__(self, what: str, errors: Iterable[FieldError]) -> None:
        self.what = what
        self.errors = tuple(errors)
        lines = [f"{e.pointer or '/'}: {e.message}" + (f" ({e.hint})" if e.hint else "") for e in self.errors]
        super().__init__(f"the {what} is not valid: " + "; ".join(lines))


def validated(model: type[M], document: Any, what: str) -> M:
    """Validate a document written by a person.

    Raises:
        InvalidDocument: with a pointer for each fault, and the nearest valid name for an unknown key.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = [(_place(document, fault), fault) for fault in error.errors()]
        raise InvalidDocument(what, [_field_error(model, *fault) for fault in _telling(faults)]) from error


SHAPES = {"model_type": "this must be a mapping of keys to values", "tuple_type": "this must be a list"}
"""What pydantic says in words of Python, in words of YAML."""

EXPONENT = re.compile(r"^[+-]?\d+(\.\d*)?[eE][+-]?\d+$")

Place = tuple[str | int, ...]
"""Keys and indices, from the document's root."""


def _place(document: Any, fault: Any) -> Place:
    """Where a fault is. Pydantic names the branches of a union in between; a reader of YAML knows no such thing.

    What is in the document is a key, whatever it is called; what is not can only be the last, a key that is missing.
    """
    place: list[str | int] = []
    here = document
    missing = fault["loc"][-1] if fault["type"] == "missing" else None
    for part in fault["loc"]:
        inside = part in here if isinstance(here, dict) else isinstance(here, list) and isinstance(part, int)
        if inside:
            here = here[part]
        elif part != missing:
            continue
        place.append(part)
    return tuple(place)


def _telling(faults: list[tuple[Place, Any]]) -> list[tuple[Place, Any]]:
    """Of a union's branches, only those that got furthest: `'all'` is no help to somebody who wrote a list."""

    def overtaken(place: Place, fault: Any) -> bool:
        return fault["type"] in ("literal_error", "too_short") and any(
            len(other) > len(place) and other[: len(place)] == place for other, _ in faults
        )

    return [(place, fault) for place, fault in faults if not overtaken(place, fault)]


def _field_error(model: type[BaseModel], place: Place, fault: Any) -> FieldError:
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
    if fault["type"] == "extra_forbidden":
        unknown = str(place[-1])
        hint = _nearest(unknown, _known_keys(model, place[:-1]))
        return FieldError(pointer=pointer, message=f"unknown key {unknown!r}", hint=hint)
    if fault["type"] == "missing":
        return FieldError(pointer=pointer, message="this key is required")
    message = SHAPES.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    value = fault.get("input")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) and repr(value) not in message else ""
    hint = ""
    if fault["type"] == "literal_error" and isinstance(value, str):
        hint = _nearest(value, re.findall(r"'([^']*)'", fault["ctx"]["expected"]))
    if fault["type"] == "float_type" and isinstance(value, str) and EXPONENT.match(value):
        hint = f"YAML takes {value} for text: write the number with a point and a sign, such as 2.0e-5"
    return FieldError(pointer=pointer, message=message + shown, hint=hint)


def _nearest(word: str, known: Sequence[str]) -> str:
    spelt = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=0.5)
    return f"did you mean {spelt[near[0]]!r}?" if near else ""


def _known_keys(model: type[BaseModel], place: Place) -> list[str]:
    here: type[BaseModel] | None = model
    for part in place:
        if here is None or isinstance(part, int):
            continue  # an index stays within the model that the list holds
        field = next((f for name, f in here.model_fields.items() if part == (f.alias or name)), None)
        here = _model_within(field.annotation) if field else None
    return [field.alias or name for name, field in here.model_fields.items()] if here else []


def _model_within(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: itself, in a list, or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_within(part))), None)
