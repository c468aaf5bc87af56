"""Which batches of the lake count: those that a transaction has named."""

from collections.abc import Sequence
from typing import Protocol

from prebill.store.codec import now_text
from prebill.store.engine import Row, Tx


class Batch(Protocol):
    """What `lake.LakeBatch` has; the store doesn't import the lake."""

    @property
    def table(self) -> str: ...  # noqa: D102
    @property
    def batch_id(self) -> str: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def checksum(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102


def record_batch(tx: Tx, batch: Batch) -> bool:
    """Make a batch visible; False: it was named before."""
    row = {
        "table_name": batch.table,
        "batch_id": batch.batch_id,
        "rows": batch.rows,
        "checksum": batch.checksum,
        "version": batch.version,
        "committed_at": now_text(),
    }
    return tx.insert("lake_batches", row, on_conflict="ignore") == 1


def named_batches(tx: Tx, table: str) -> list[str]:
    """Return the ids of the batches of a table that count; an empty one has no file to read."""
    rows = tx.rows(
        "SELECT batch_id FROM lake_batches WHERE table_name = :table AND rows > 0 "
        "ORDER BY batch_id",
        {"table": table},
    )
    return [row["batch_id"] for row in rows]


def batch_rows(tx: Tx, tables: Sequence[str] | None = None) -> list[Row]:
    """Return the batches of some tables, or of all, as ``LakeBatch`` takes them."""
    rows = tx.rows(
        'SELECT table_name AS "table", batch_id, rows, checksum, version FROM lake_batches '
        "WHERE rows > 0 ORDER BY table_name, batch_id"
    )
    return [row for row in rows if tables is None or row["table"] in tables]


def is_named(tx: Tx, table: str, batch_id: str) -> bool:
    """Whether a batch counts."""
    statement = "SELECT 1 FROM lake_batches WHERE table_name = :table AND batch_id = :batch_id"
    return tx.scalar(statement, {"table": table, "batch_id": batch_id}) is not None
