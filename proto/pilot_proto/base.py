"""Two kinds of model, one line apart: what people and programs send, and what is read back from store.

A request forbids what it does not know, because a misspelt key that is silently ignored trains the wrong model.
A stored document ignores what it does not know, because a reader must survive documents of a newer minor version.
Documents that travel in and are then stored (`Update`, `Manifest`) are `Stored`, and are read strictly on the way in
with `read_strictly`.
"""

import json
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict

API_VERSION = "pilot/v1alpha1"
SCHEMA_VERSION = "pilot/v1"

T = TypeVar("T")

Seq = Annotated[tuple[T, ...], Strict(False)]
"""An immutable sequence that a JSON or YAML list may fill."""

SchemaVersion = Literal["pilot/v1"]


def added(default: Any) -> Any:
    """A field that joined a document whose bytes are committed: left out at its default, so that what was written
    before keeps its digest."""
    return Field(default=default, exclude_if=lambda value: bool(value == default))


class Request(BaseModel):
    """Written by a person or sent by a program: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Stored(BaseModel):
    """Read back from a store: unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    @classmethod
    def read(cls, raw: bytes | str) -> Self:
        """Parse a document that was stored: unknown keys are ignored at any depth, inside a `Request` as well.

        Raises:
            pydantic.ValidationError: with the location of every fault.
        """
        return cls.model_validate_json(raw, extra="ignore")

    @classmethod
    def read_strictly(cls, raw: bytes | str) -> Self:
        """Parse a document on its way in: unknown keys at any depth and wrong types are errors.

        Raises:
            pydantic.ValidationError: with the location of every fault.
        """
        return cls.model_validate_json(raw, strict=True, extra="forbid")


def as_json(model: BaseModel) -> Any:
    """The document as plain JSON values, absent optional fields left out."""
    return json.loads(model.model_dump_json(exclude_none=True, by_alias=True))
