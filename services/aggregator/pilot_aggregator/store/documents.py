"""Documents to text and back, for columns that hold one."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(kind: Any, value: Any) -> str:
    """A value of a type (a model, a dataclass, or a container of them) as JSON text."""
    text: str = _adapter(kind).dump_json(value, exclude_none=True, by_alias=True).decode()
    return text


def load(kind: Any, text: str | None) -> Any:
    """The value behind JSON text, unknown keys ignored; None for none."""
    return None if text is None else _adapter(kind).validate_json(text, extra="ignore")
