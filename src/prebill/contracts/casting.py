"""From the text of a file to typed columns, without silent loss.

Decimals, integers, dates and instants are checked on the text before they are cast: polars would
round a thirteenth decimal and cut a fraction off without a word.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.errors import InputError
from prebill.core.money import DECIMAL, DECIMAL_PATTERN
from prebill.core.schemas import Column, Kind

#: A whole number; "12.0" is one too, since spreadsheets write columns with gaps like this.
INTEGER_PATTERN: Final = r"^[+-]?[0-9]{1,18}(\.0+)?$"
FLOAT_PATTERN: Final = r"^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
DATE_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
INSTANT_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
)
#: NUL and friends (PostgreSQL refuses them, terminals obey them; tabs and line ends are fine) and
#: the sign that stands for bytes that were no UTF-8.
ODD_PATTERN: Final = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\ufffd]"
#: Rule of a type → what a value must be.
TYPE_TEXTS: Final = {
    "is_text": "text in UTF-8 without control characters",
    "is_integer": "a whole number such as 12; amounts in minor units: 1999 for 19.99 EUR",
    "is_decimal": "a number with a point, at most 25 digits before and 12 after it, no exponent, "
    "such as 0.25",
    "is_float": "a number",
    "is_boolean": "true or false",
    "is_date": "a date written as 2026-10-31",
    "is_instant": "an instant with its offset, such as 2026-10-31T09:30:00Z",
}
_MIDNIGHT: Final = " 00:00:00.000000"


@dataclass(frozen=True, slots=True)
class Cast:
    """How one column is read: expressions over its text, and the rule that names a failure."""

    typed: pl.Expr
    fails: pl.Expr
    rule: str


def as_text(frame: pl.DataFrame, column: Column) -> pl.Expr:
    """Return the column as text (empty = null), or as it is where its type is right already.

    Raises
    ------
    InputError
        The column holds lists, structs or bytes, which no contract has.
    """
    dtype = frame.schema[column.name]
    value = pl.col(column.name)
    if column.kind is not Kind.TEXT and dtype == column.dtype:
        return value
    if dtype == pl.String():
        return pl.when(value != "").then(value)
    if dtype.is_float():
        return value.fill_nan(None).cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            text = value.dt.cast_time_unit("us").cast(pl.String)
            return text.str.strip_suffix(_MIDNIGHT)
        aware = value.dt.cast_time_unit("us").dt.convert_time_zone("UTC")
        return aware.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if dtype.is_nested() or dtype in (pl.Binary(), pl.Object()):
        message = f"column {column.name} holds {dtype}: write it as text, one value a row"
        raise InputError(message, column=column.name, dtype=str(dtype))
    return value.cast(pl.String)


def cast_column(frame: pl.DataFrame, column: Column) -> Cast:
    """Return how to read ``column`` of a frame that holds it as text or as its own type."""
    value = pl.col(column.name)
    dtype = frame.schema[column.name]
    if column.kind is Kind.TEXT:
        return Cast(value, value.str.contains(ODD_PATTERN), "is_text")
    if dtype == column.dtype:
        return Cast(value, pl.lit(value=False), "is_typed")
    if dtype == pl.Null():
        typed = value.cast(column.dtype)
        return Cast(typed, pl.lit(value=False), "is_typed")
    return _from_text(value, column)


def _from_text(value: pl.Expr, column: Column) -> Cast:
    kind = Kind.INTEGER if column.kind is Kind.MINOR else column.kind
    pattern, typed = {
        Kind.INTEGER: (INTEGER_PATTERN, _integer(value)),
        Kind.DECIMAL: (DECIMAL_PATTERN, value.cast(DECIMAL, strict=False)),
        Kind.FLOAT: (FLOAT_PATTERN, value.cast(pl.Float64, strict=False)),
        Kind.BOOLEAN: (r"^(?i:true|false|1|0)$", _boolean(value)),
        Kind.DATE: (DATE_PATTERN, value.str.to_date("%Y-%m-%d", strict=False)),
        Kind.INSTANT: (
            INSTANT_PATTERN,
            value.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False),
        ),
    }[kind]
    fails = ~value.str.contains(pattern) | (typed.is_null() & value.is_not_null())
    return Cast(typed, fails, f"is_{kind}")


def _integer(value: pl.Expr) -> pl.Expr:
    return value.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)


def _boolean(value: pl.Expr) -> pl.Expr:
    lowered = value.str.to_lowercase()
    return (
        pl.when(lowered.is_in(["true", "1"]))
        .then(statement=True)
        .when(lowered.is_in(["false", "0"]))
        .then(statement=False)
    )
