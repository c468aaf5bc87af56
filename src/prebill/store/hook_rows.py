"""Rows that the hook made for the lake and that wait to be moved there."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from prebill.store.codec import canonical_json, now_text
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx


def keep(tx: Tx, table: str, rows: Sequence[Row]) -> None:
    """Keep rows of a table of the lake until they are moved."""
    now = now_text()
    tx.insert_rows(
        "hook_rows",
        [{"table_name": table, "row_json": canonical_json(row), "entered_at": now} for row in rows],
    )


def waiting(tx: Tx) -> tuple[int, datetime | None]:
    """How many rows wait, and since when the oldest does."""
    found = tx.frame(
        "SELECT count(*) AS rows, min(entered_at) AS oldest_at FROM hook_rows",
        {"rows": pl.Int64(), "oldest_at": pl.Datetime("us", "UTC")},
    )
    count, oldest_at = found.row(0)
    return count, oldest_at


def oldest(tx: Tx, limit: int) -> pl.DataFrame:
    """Return the oldest rows: ``seq, table_name, row_json``."""
    return tx.table_frame(
        "hook_rows",
        "ORDER BY seq LIMIT :limit",
        {"limit": limit},
        columns=["seq", "table_name", "row_json"],
    )


def drop(tx: Tx, seqs: pl.Series) -> None:
    """Drop rows that were moved: those read, none that came meanwhile."""
    ids = canonical_json([str(seq) for seq in seqs])
    tx.execute(
        f"DELETE FROM hook_rows WHERE CAST(seq AS TEXT) IN {listed(tx, 'ids')}", {"ids": ids}
    )
