"""Documents to text and back, for columns that hold one."""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any, TypeVar

from pydantic import TypeAdapter

V = TypeVar("V")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def dump(kind: Any, value: Any) -> str:
    """A value of a type (a model, a dataclass, or a container of them) as JSON text."""
    plain = dict(value) if isinstance(value, Unread) else value
    text: str = _adapter(kind).dump_json(plain, exclude_none=True, by_alias=True).decode()
    return text


def load(kind: Any, text: str | None) -> Any:
    """The value behind JSON text, unknown keys ignored; None for none."""
    return None if text is None else _adapter(kind).validate_json(text, extra="ignore")


class Unread(Mapping[str, V]):
    """A mapping behind JSON text, read when somebody looks into it: with many clients that takes long."""

    def __init__(self, kind: Any, text: str | None) -> None:
        self._kind, self._text = kind, text

    @cached_property
    def _found(self) -> Mapping[str, V]:
        return load(self._kind, self._text) or {}

    def __getitem__(self, key: str) -> V:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
