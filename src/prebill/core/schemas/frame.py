"""What a frame is: its columns with type, unit and meaning, its key, and the check at the edge."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import polars as pl

from prebill.core.errors import SchemaError
from prebill.core.money import DECIMAL

_AS_IT_STANDS: Final = pl.QueryOptFlags.none()


class Kind(StrEnum):
    """The few types a column may have; each has one polars type."""

    TEXT = "text"
    INTEGER = "integer"
    MINOR = "minor"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"


DTYPES: dict[Kind, pl.DataType] = {
    Kind.TEXT: pl.String(),
    Kind.INTEGER: pl.Int64(),
    Kind.MINOR: pl.Int64(),
    Kind.DECIMAL: DECIMAL,
    Kind.FLOAT: pl.Float64(),
    Kind.BOOLEAN: pl.Boolean(),
    Kind.DATE: pl.Date(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, kind, meaning with unit; ``required`` means never null."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True

    @property
    def dtype(self) -> pl.DataType:
        """The polars type."""
        return DTYPES[self.kind]


@dataclass(frozen=True, slots=True)
class Frame:
    """A named frame: ordered columns and the natural key that makes a row unique."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    _empty: pl.DataFrame = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made once: one invoice over HTTP asks for it dozens of times.
        object.__setattr__(self, "_empty", pl.DataFrame(schema=self.schema))

    @property
    def schema(self) -> pl.Schema:
        """Column names and polars types, in order."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def empty(self) -> pl.DataFrame:
        """A frame without rows."""
        return self._empty.clone()

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Select the declared columns in order, adding absent optional ones as null.

        Raises
        ------
        SchemaError
            A required column is absent or a column has another type.
        """
        if frame.schema == self._empty.schema and frame.columns == self._empty.columns:
            return frame
        absent = [c.name for c in self.columns if c.required and c.name not in frame.columns]
        if absent:
            message = f"{self.name} lacks the columns {', '.join(absent)}"
            raise SchemaError(message, frame=self.name, columns=absent)
        wrong = {
            c.name: str(frame.schema[c.name])
            for c in self.columns
            if c.name in frame.columns and frame.schema[c.name] not in (c.dtype, pl.Null())
        }
        if wrong:
            message = f"{self.name} has columns of the wrong type: {wrong}"
            raise SchemaError(message, frame=self.name, columns=wrong)
        given = set(frame.columns)
        return frame.select(
            (pl.col(c.name) if c.name in given else pl.lit(None)).cast(c.dtype).alias(c.name)
            for c in self.columns
        )


def collected(plan: pl.LazyFrame) -> pl.DataFrame:
    """Run a plan as it stands, in one go.

    A frame operation of its own costs a row three times as much, the optimizer more than it saves.
    """
    return plan.collect(engine="in-memory", optimizations=_AS_IT_STANDS)


def text(name: str, meaning: str) -> Column:
    """A text that is never null."""
    return Column(name, Kind.TEXT, meaning)


def integer(name: str, meaning: str) -> Column:
    """A whole number that is never null."""
    return Column(name, Kind.INTEGER, meaning)


def minor(name: str, meaning: str) -> Column:
    """An amount in minor units of the row's currency, never null."""
    return Column(name, Kind.MINOR, meaning)


def decimal(name: str, meaning: str) -> Column:
    """An exact decimal that is never null."""
    return Column(name, Kind.DECIMAL, meaning)


def floating(name: str, meaning: str) -> Column:
    """A float, null where it can't be known. Never money."""
    return Column(name, Kind.FLOAT, meaning, required=False)


def boolean(name: str, meaning: str) -> Column:
    """A truth value that is never null."""
    return Column(name, Kind.BOOLEAN, meaning)


def day(name: str, meaning: str) -> Column:
    """A calendar date that is never null."""
    return Column(name, Kind.DATE, meaning)


def instant(name: str, meaning: str) -> Column:
    """A UTC instant that is never null."""
    return Column(name, Kind.INSTANT, meaning)


def optional(column: Column) -> Column:
    """The same column where null is allowed and an absent one is added as null."""
    return Column(column.name, column.kind, column.meaning, required=False)
