"""What went wrong, for people and programs: problem+json (RFC 9457) with a code, a hint and the faulty fields."""

import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

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
        raise InvalidDocument(what, [_field_error(model, fault) for fault in _telling(error.errors())]) from error


def _telling(faults: list[Any]) -> list[Any]:
    """Of a union's branches, only those that got furthest: `'all'` is no help to somebody who wrote a list."""
    deep = [fault["loc"] for fault in faults]

    def overtaken(fault: Any) -> bool:
        place = tuple(part for part in fault["loc"] if not _is_branch(part))
        return fault["type"] == "literal_error" and any(
            len(other) > len(place) + 1 and tuple(other[: len(place)]) == place for other in deep
        )

    return [fault for fault in faults if not overtaken(fault)]


def _field_error(model: type[BaseModel], fault: Any) -> FieldError:
    location = tuple(part for part in fault["loc"] if not _is_branch(part))
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _known_keys(model, location[:-1]), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else ""
        return FieldError(pointer=pointer, message=f"unknown key {str(location[-1])!r}", hint=hint)
    if fault["type"] == "missing":
        return FieldError(pointer=pointer, message="this key is required")
    message = str(fault["msg"]).removeprefix("Value error, ")
    value = fault.get("input")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) and repr(value) not in message else ""
    return FieldError(pointer=pointer, message=message + shown)


def _is_branch(part: Any) -> bool:
    """Pydantic names the branch of a union inside a location; a reader of YAML knows no such thing."""
    return isinstance(part, str) and (part.startswith(("literal[", "tuple[", "int", "str", "function-")))


def _known_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    here: type[BaseModel] | None = model
    for part in location:
        if here is None:
            return []
        field = next((f for name, f in here.model_fields.items() if part in (f.alias, name)), None)
        annotation = field.annotation if field else None
        here = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return [field.alias or name for name, field in here.model_fields.items()] if here else []
