"""Between polars frames or Python values and what SQL holds. Whole columns at a time.

Decimals, dates and instants are text in SQL; their form is fixed here and nowhere else.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from prebill.core.money import decimal_text

_INSTANT_FORMAT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def instant_text(instant_at: datetime) -> str:
    """Write an aware instant as ``2026-10-01T00:00:00.000000Z``.

    Examples
    --------
    >>> instant_text(datetime(2026, 10, 1, tzinfo=UTC))
    '2026-10-01T00:00:00.000000Z'
    """
    if instant_at.tzinfo is None:
        message = f"instant {instant_at} has no time zone"
        raise ValueError(message)
    return instant_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str) -> datetime:
    """Read what :func:`instant_text` wrote."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def now_text() -> str:
    """The present instant as text. For the shell only: ``core`` gets its clock as an argument."""
    return instant_text(datetime.now(UTC))


def canonical_json(value: object) -> str:
    """Write JSON whose text depends on the content alone."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def to_sql(value: object) -> Any:
    """Turn one value into what SQL holds; for frames use :func:`encode`."""
    match value:
        case datetime():
            return instant_text(value)
        case date():
            return value.isoformat()
        case Decimal():
            return decimal_text(value)
        case dict() | list():
            return canonical_json(value)
        case _:
            return value


def encode(frame: pl.DataFrame) -> pl.DataFrame:
    """Turn the columns of a frame into what SQL holds: integers, floats, booleans and text."""
    return frame.select(_encoded(name, dtype) for name, dtype in frame.schema.items())


def _encoded(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype.is_decimal():
        text = column.cast(pl.String)
        # Trailing zeros may go only after a point: "100" stays, "1.500" becomes "1.5".
        stripped = text.str.strip_chars_end("0").str.strip_chars_end(".")
        return pl.when(text.str.contains(".", literal=True)).then(stripped).otherwise(text)
    if dtype == pl.Date:
        return column.dt.to_string("iso:strict")
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            message = f"column {name} holds instants without a time zone"
            raise ValueError(message)
        return column.dt.convert_time_zone("UTC").dt.strftime(_INSTANT_FORMAT)
    if dtype.is_nested():
        message = f"column {name} is nested: write it as JSON text first"
        raise ValueError(message)
    if dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    return column


def decode(rows: list[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    """Turn fetched rows into a frame of the given schema, column by column."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    return decode_columns(dict(zip(schema, columns, strict=True)), schema)


def decode_columns(columns: Mapping[str, Sequence[Any]], schema: pl.Schema) -> pl.DataFrame:
    """Turn columns of what SQL holds into a frame of the given schema."""
    raw = {name: _raw_type(dtype) for name, dtype in schema.items()}
    frame = pl.DataFrame(
        [pl.Series(name, columns[name], dtype=dtype, strict=False) for name, dtype in raw.items()]
    )
    other = [_decoded(name, dtype) for name, dtype in schema.items() if dtype != raw[name]]
    return frame.with_columns(other) if other else frame


def _raw_type(dtype: pl.DataType) -> pl.DataType:
    if dtype == pl.Boolean:
        return pl.Int64()  # SQLite gives 0 and 1, PostgreSQL truth values: both fit
    if dtype.is_temporal() or dtype.is_decimal():
        return pl.String()
    return dtype


def _decoded(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if dtype == pl.Date:
        return column.str.to_date("%Y-%m-%d")
    if isinstance(dtype, pl.Datetime):
        instants = column.str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_unit="us")
        return instants.dt.replace_time_zone("UTC")
    return column.cast(dtype)


@dataclass(frozen=True, slots=True)
class InList:
    """Values as one parameter of ``IN (...)``: ``sql`` reads the JSON list in ``values``.

    A parameter a value costs 40 us each on the way through the driver, and there is a limit.
    """

    sql: str
    values: dict[str, str]

    @classmethod
    def of(cls, values: Sequence[str], *, is_sqlite: bool) -> "InList":
        """Write the list in the words of the engine."""
        source = (
            "SELECT value FROM json_each(:listed)"
            if is_sqlite
            else "SELECT json_array_elements_text(CAST(:listed AS json))"
        )
        return cls(source, {"listed": json.dumps(list(values))})
