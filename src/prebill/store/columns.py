"""Column kinds in SQL: the few types that mean the same on SQLite and PostgreSQL.

Amounts are 64-bit integers; decimals, dates and instants are text that sorts as it should.
"""

from typing import Any

import polars as pl
import sqlalchemy as sa

from prebill.core.schemas.frame import DTYPES, Column, Frame, Kind

#: Text sorted by bytes on both engines, so that keys come in the same order.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
#: A growing number; SQLite counts up only for its plain INTEGER.
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.TEXT: TEXT,
    Kind.INTEGER: sa.BigInteger(),
    Kind.MINOR: sa.BigInteger(),
    Kind.DECIMAL: TEXT,
    Kind.FLOAT: sa.Double(),
    Kind.BOOLEAN: sa.Boolean(),
    Kind.DATE: TEXT,
    Kind.INSTANT: TEXT,
}


def column(
    name: str, kind: Kind = Kind.TEXT, *, key: bool = False, required: bool = True
) -> sa.Column[Any]:
    """One column that remembers its kind, so that a frame can be read back from it."""
    return sa.Column(
        name, TYPES[kind], primary_key=key, nullable=not (key or required), info={"kind": kind}
    )


def key(name: str, kind: Kind = Kind.TEXT) -> sa.Column[Any]:
    """A column of the primary key."""
    return column(name, kind, key=True)


def text(name: str) -> sa.Column[Any]:
    """A text that is never null. JSON is text too."""
    return column(name)


def integer(name: str) -> sa.Column[Any]:
    """A whole number that is never null."""
    return column(name, Kind.INTEGER)


def minor(name: str) -> sa.Column[Any]:
    """An amount in minor units that is never null."""
    return column(name, Kind.MINOR)


def floating(name: str) -> sa.Column[Any]:
    """A number that is never null and no money."""
    return column(name, Kind.FLOAT)


def boolean(name: str) -> sa.Column[Any]:
    """A truth value that is never null."""
    return column(name, Kind.BOOLEAN)


def day(name: str) -> sa.Column[Any]:
    """A calendar date, ISO text, never null."""
    return column(name, Kind.DATE)


def instant(name: str) -> sa.Column[Any]:
    """A UTC instant, ISO text with microseconds and Z, never null."""
    return column(name, Kind.INSTANT)


def optional(name: str, kind: Kind = Kind.TEXT) -> sa.Column[Any]:
    """A column that may be null."""
    return column(name, kind, required=False)


def content(name: str) -> sa.Column[Any]:
    """Bytes of a file, never null; no frame reads them."""
    return sa.Column(name, sa.LargeBinary(), nullable=False, info={"kind": Kind.TEXT})


def serial(name: str) -> sa.Column[Any]:
    """A growing number given by the database: the primary key of a log."""
    return sa.Column(
        name, SERIAL, primary_key=True, autoincrement=True, info={"kind": Kind.INTEGER}
    )


def one_of(name: str, *values: str) -> sa.CheckConstraint:
    """The column holds one of a closed set of values; the database enforces it."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{name} IN ({listed})", name=f"{name}_is_known")


def from_frame(frame: Frame, *, keys: tuple[str, ...] = ()) -> list[sa.Column[Any]]:
    """The columns of a declared frame; ``keys`` says which are the primary key."""
    return [_from_column(one, key=one.name in keys) for one in frame.columns]


def _from_column(one: Column, *, key: bool) -> sa.Column[Any]:
    return column(one.name, one.kind, key=key, required=one.required)


def schema_of(table: sa.Table) -> pl.Schema:
    """The polars schema that a table's rows have as a frame."""
    return pl.Schema({one.name: DTYPES[one.info["kind"]] for one in table.columns})
