"""Read the gate's canonical files: whatever is there, as text or typed; broken rows are named.

Unlike an import, the gate has no reference data and never stops at a bad row: it scores what it
can, and says what it left out.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from prebill.connectors.files.reader import first_line
from prebill.core.calendar import END_ON, FIRST_ON
from prebill.core.errors import InputError
from prebill.core.money import (
    CURRENCY_EXPONENTS,
    DECIMAL,
    DECIMAL_PATTERN,
    MAX_AMOUNT_MINOR,
)
from prebill.core.schemas import Column, Frame, Kind

#: Between the parts of a key in the quarantine file.
KEY_SEPARATOR: Final = " / "
SUFFIXES: Final = (".parquet", ".csv", ".ndjson", ".jsonl")
QUARANTINE: Final = pl.Schema(
    {
        "file": pl.String,
        "line": pl.Int64,
        "rule": pl.String,
        "column_name": pl.String,
        "value": pl.String,
        "key": pl.String,
        "is_used": pl.Boolean,
    }
)
#: Columns that a frame can do without, though elsewhere in Prebill they are required.
LENIENT: Final = {
    "invoice_lines": {"line_id": "row", "product": "unknown"},
    "payments": {"payment_id": "row"},
    "credit_notes": {"credit_note_id": "row"},
    "usage_events": {"source": "file"},
}
_INTEGER: Final = r"^\s*[+-]?\d{1,18}(\.0+)?\s*$"
_ISO_DAY: Final = r"^\s*(\d{4}-\d{2}-\d{2})"


@dataclass(frozen=True, slots=True)
class Loaded:
    """One file's good rows, its broken ones, and what is said about it."""

    frame: pl.DataFrame
    broken: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE))
    notes: list[str] = field(default_factory=list)


def load(folder: Path, frame: Frame, *, needed: bool = False) -> Loaded:
    """Read the file of a frame from a folder.

    An absent file is an empty frame and a note, or an :class:`InputError` where it is needed.
    """
    if not folder.is_dir():
        message = f"{folder} is not a folder: give one that holds invoices.csv or invoices.parquet"
        raise InputError(message, folder=str(folder))
    paths = [folder / f"{frame.name}{suffix}" for suffix in SUFFIXES]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        if needed:
            message = f"{folder} holds no {frame.name} file ({', '.join(SUFFIXES)})"
            raise InputError(message, folder=str(folder), frame=frame.name)
        return Loaded(frame.empty(), notes=[f"no {frame.name} in {folder.name}"])
    if not path.is_file() and not path.is_dir():  # a pipe or a device: reading may never end
        message = f"{path} is no ordinary file: copy its content into one"
        raise InputError(message, file=str(path))
    return _typed(_raw(path), frame, path.name, is_needed=needed)


def _raw(path: Path) -> pl.DataFrame:
    """The file as it is; text files as text only, so that nothing is guessed."""
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if path.suffix == ".csv":
            with path.open("rb") as file:
                first_line(path, file)
            return pl.read_csv(
                path, infer_schema=False, encoding="utf8-lossy", truncate_ragged_lines=True
            )
        return pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.NoDataError:
        return pl.DataFrame()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        message = f"{path} can't be read: {str(error).splitlines()[0]}"
        raise InputError(message, file=str(path)) from error


def _typed(raw: pl.DataFrame, frame: Frame, file: str, *, is_needed: bool) -> Loaded:
    """Parse each known column; a row whose needed value is broken goes aside, another stays."""
    raw, notes = _with_defaults(raw, frame, file)
    absent = [c.name for c in frame.columns if c.required and c.name not in raw.columns]
    if absent and is_needed:
        message = f"{file} lacks the columns {', '.join(absent)}"
        raise InputError(message, file=file, columns=absent)
    if absent:
        return Loaded(frame.empty(), notes=[f"{file} unused: it lacks {', '.join(absent)}"])
    known = [column for column in frame.columns if column.name in raw.columns]
    parsed = raw.select(
        _parsed(column, raw.schema[column.name]).alias(column.name) for column in known
    )
    key = pl.concat_str(
        [pl.col(name).cast(pl.String) for name in frame.key],
        separator=KEY_SEPARATOR,
        ignore_nulls=True,
    )
    numbered = parsed.with_row_index("row").with_columns(
        line=pl.col("row").cast(pl.Int64) + (2 if file.endswith(".csv") else 1), key=key
    )
    broken = _broken(raw, numbered, known, file)
    twice = numbered.filter(pl.struct(frame.key).is_first_distinct().not_())
    twice = twice.join(broken, on="line", how="anti").select(
        file=pl.lit(file),
        line="line",
        rule=pl.lit("duplicate_key"),
        column_name=pl.lit(",".join(frame.key)),
        value="key",
        key="key",
        is_used=pl.lit(value=False),
    )
    broken = pl.concat([broken, twice.cast(QUARANTINE)]).sort("line")
    lost = broken.filter(~pl.col("is_used")).select("line").unique()
    good = numbered.join(lost, on="line", how="anti")
    return Loaded(frame.conform(good.select(c.name for c in known)), broken, notes)


def _with_defaults(raw: pl.DataFrame, frame: Frame, file: str) -> tuple[pl.DataFrame, list[str]]:
    notes = []
    for name, default in LENIENT.get(frame.name, {}).items():
        if name in raw.columns or not raw.width:
            continue
        value = pl.int_range(pl.len()).cast(pl.String) if default == "row" else pl.lit(default)
        raw = raw.with_columns(value.alias(name))
        notes.append(f"{file} has no {name}: rows are told apart by their position")
    return raw, notes


def _parsed(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Parse one column to its kind; what can't be parsed, or is beyond all limits, is null."""
    value = _read(column, dtype)
    match column.kind:
        case Kind.MINOR:
            is_possible = value.abs() < MAX_AMOUNT_MINOR
        case Kind.DATE | Kind.INSTANT:
            is_possible = value.cast(pl.Date).is_between(FIRST_ON, END_ON, closed="left")
        case _:
            return value
    return pl.when(is_possible).then(value)


def _read(column: Column, dtype: pl.DataType) -> pl.Expr:
    source = pl.col(column.name)
    if dtype == pl.Null():
        return pl.lit(None, dtype=column.dtype)
    if dtype == column.dtype and column.kind is not Kind.TEXT:
        return source
    if column.kind is Kind.DATE and isinstance(dtype, pl.Datetime):
        return source.dt.date()
    if column.kind is Kind.INSTANT and isinstance(dtype, pl.Datetime):
        zoned = source if dtype.time_zone else source.dt.replace_time_zone("UTC")
        return zoned.dt.convert_time_zone("UTC").cast(column.dtype)
    text = source.cast(pl.String).str.strip_chars()
    text = pl.when(text != "").then(text)
    if column.kind is Kind.DECIMAL and dtype.is_float():
        text = source.cast(pl.Decimal(38, 12), strict=False).cast(pl.String)
    return _from_text(column, text)


def _from_text(column: Column, text: pl.Expr) -> pl.Expr:
    match column.kind:
        case Kind.MINOR | Kind.INTEGER:
            whole = pl.when(text.str.contains(_INTEGER)).then(text.str.replace(r"\.0+$", ""))
            return whole.cast(pl.Int64, strict=False)
        case Kind.DECIMAL:
            safe = pl.when(text.str.contains(DECIMAL_PATTERN)).then(text)
            return safe.cast(DECIMAL, strict=False)
        case Kind.FLOAT:
            return text.cast(pl.Float64, strict=False)
        case Kind.BOOLEAN:
            truths = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            return text.str.to_lowercase().replace_strict(
                truths, default=None, return_dtype=pl.Boolean
            )
        case Kind.DATE:
            return text.str.extract(_ISO_DAY).str.to_date("%Y-%m-%d", strict=False)
        case Kind.INSTANT:
            return text.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        case _:
            return text


def _broken(
    raw: pl.DataFrame, numbered: pl.DataFrame, known: list[Column], file: str
) -> pl.DataFrame:
    """One row a broken value: unreadable, absent though required, or outside its range."""
    parts = [pl.DataFrame(schema=QUARANTINE)]
    for column in known:
        given = raw[column.name].cast(pl.String, strict=False).str.strip_chars()
        value = numbered[column.name]
        is_given = given.is_not_null() & (given != "")
        problems = {"unreadable": is_given & value.is_null()}
        if column.required:
            problems["required"] = ~is_given & value.is_null()
        if column.name == "currency":
            is_known = value.is_in(list(CURRENCY_EXPONENTS))
            problems["unknown_currency"] = value.is_not_null() & ~is_known
        shown = numbered.with_columns(given=given)
        for rule, is_problem in problems.items():
            found = shown.filter(is_problem.fill_null(value=False)).select(
                file=pl.lit(file),
                line="line",
                rule=pl.lit(rule),
                column_name=pl.lit(column.name),
                value="given",
                key="key",
                is_used=pl.lit(not column.required),
            )
            parts.append(found.cast(QUARANTINE))
    return pl.concat(parts)
