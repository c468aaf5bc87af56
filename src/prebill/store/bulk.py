"""Many rows into a table: driver tuples on SQLite, COPY on PostgreSQL.

SQLAlchemy's own bulk insert builds a dictionary a row and costs three times as much.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from prebill.store.codec import encode

#: Below this many rows plain INSERTs are faster than a COPY.
COPY_FROM_ROWS = 50


def insert_frame(
    connection: sa.Connection, table: sa.Table, frame: pl.DataFrame, *, on_conflict: str
) -> int:
    """Insert a frame; return how many rows went in (or were replaced)."""
    _check_columns(table, frame.columns)
    if frame.is_empty():
        return 0
    encoded = encode(frame)
    if connection.dialect.name == "sqlite" or frame.height < COPY_FROM_ROWS:
        return insert(connection, table, encoded.columns, encoded.rows(), on_conflict=on_conflict)
    return _copy(connection, table, encoded, on_conflict=on_conflict)


def insert(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    *,
    on_conflict: str,
) -> int:
    """Insert driver tuples; return how many rows went in (or were replaced)."""
    _check_columns(table, names)
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join([mark] * len(names))
    clause = _conflict_clause(table, names, on_conflict)
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}){clause}"
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def _copy(
    connection: sa.Connection, table: sa.Table, encoded: pl.DataFrame, *, on_conflict: str
) -> int:
    """COPY as CSV: an unquoted empty field is null, a quoted one the empty text."""
    names = ", ".join(encoded.columns)
    target = table.name
    if on_conflict != "raise":  # COPY knows no conflict clause: go through a table of the session
        target = f"copied_{table.name}"
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{target}")
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {target} ON COMMIT DROP AS "
            f"SELECT {names} FROM {table.name} WITH NO DATA"
        )
    buffer = BytesIO()
    encoded.write_csv(buffer, include_header=False, quote_style="necessary", null_value="")
    statement = f"COPY {target} ({names}) FROM STDIN (FORMAT csv)"
    copied = _send(connection, statement, buffer.getbuffer())
    if on_conflict == "raise":
        return copied
    clause = _conflict_clause(table, encoded.columns, on_conflict)
    return connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {target}{clause}"
    ).rowcount


def _send(connection: sa.Connection, statement: str, content: memoryview) -> int:
    """Run a COPY on the driver; its errors leave as SQLAlchemy's, as those of any statement do."""
    dialect: Any = connection.dialect
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        try:
            with cursor.copy(statement) as copy:
                copy.write(content)
        except dialect.dbapi.Error as error:
            raise DBAPIError.instance(
                statement, None, error, dialect.dbapi.Error, dialect=dialect
            ) from error
        return int(cursor.rowcount)


def _conflict_clause(table: sa.Table, names: Sequence[str], on_conflict: str) -> str:
    if on_conflict == "raise":
        return ""
    if on_conflict == "ignore":
        return " ON CONFLICT DO NOTHING"
    keys = [column.name for column in table.primary_key.columns]
    values = [f"{name} = excluded.{name}" for name in names if name not in keys]
    action = f"UPDATE SET {', '.join(values)}" if values else "NOTHING"
    return f" ON CONFLICT ({', '.join(keys)}) DO {action}"


def _check_columns(table: sa.Table, names: Sequence[str]) -> None:
    """Names go into SQL as they are: only the table's own may."""
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        message = f"table {table.name} has no columns {', '.join(unknown)}"
        raise ValueError(message)
