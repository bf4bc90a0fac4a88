"""Columns that mean the same to SQLite and to Postgres."""

from typing import Any

from sqlalchemy import Text, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeEngine

NUL, SHOWN = "\0", "\N{SYMBOL FOR NULL}"


class Words(TypeDecorator[str]):
    """Text in the order of its code points, whatever language a Postgres was set up for; SQLite knows no other.

    Sealed documents and page cursors depend on the order. A NUL, which a client may send in a message and Postgres
    cannot store, becomes a sign for it.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text(collation="C") if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value.replace(NUL, SHOWN) if value else value
