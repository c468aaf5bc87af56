"""The audit log's tables: append entries, read them in order, keep seals. Hashing is audit.py's."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from prebill.store.engine import Row, Tx
from prebill.store.tables import audit_entries, schema_of

#: Columns an entry is written with; the database adds ``seq``.
ENTRY_COLUMNS: Final = ("stream", "entered_at", "actor", "action", "object_id", "detail", "hash")
_ENTRY_SCHEMA: Final = schema_of(audit_entries)


def append(tx: Tx, entries: pl.DataFrame) -> int:
    """Add entries in the business transaction."""
    return tx.insert_frame("audit_entries", entries.select(ENTRY_COLUMNS))


def append_one(tx: Tx, values: Sequence[str]) -> None:
    """Add one entry, its values in the order of ``ENTRY_COLUMNS``."""
    tx.insert("audit_entries", dict(zip(ENTRY_COLUMNS, values, strict=True)))


def hold_writers(tx: Tx) -> None:
    """Wait for the transactions that have added entries, and let no other add any until the end.

    On PostgreSQL a smaller number may be committed after a larger one. Under this lock every entry
    is committed and every later one will have a larger number, so that a seal is without holes. It
    also keeps a second sealer out.
    SQLite has one writer: its transaction is the lock.
    """
    if not tx.is_sqlite:
        tx.execute("SET LOCAL lock_timeout = '30s'")
        tx.execute("LOCK TABLE audit_entries IN SHARE ROW EXCLUSIVE MODE")


def entries_between(
    tx: Tx, stream: str, *, after_seq: int, up_to_seq: int | None = None, limit: int | None = None
) -> pl.DataFrame:
    """Return a stream's entries ``(after_seq, up_to_seq]`` in their order."""
    bound = "" if up_to_seq is None else "AND seq <= :up_to_seq"
    first = "" if limit is None else "LIMIT :limit"
    parameters: Row = {"stream": stream, "after_seq": after_seq}
    parameters |= {} if up_to_seq is None else {"up_to_seq": up_to_seq}
    parameters |= {} if limit is None else {"limit": limit}
    where = f"WHERE stream = :stream AND seq > :after_seq {bound} ORDER BY seq {first}"
    return tx.frame(
        f"SELECT {', '.join(_ENTRY_SCHEMA.names())} FROM audit_entries {where}",
        # The text of an instant is what was hashed: it is not parsed here.
        {**_ENTRY_SCHEMA, "entered_at": pl.String()},
        parameters,
    )


def seals(tx: Tx, stream: str, *, after_id: int = 0) -> list[Row]:
    """Return a stream's seals, the oldest first."""
    return tx.rows(
        "SELECT * FROM audit_seals WHERE stream = :stream AND seal_id > :after_id ORDER BY seal_id",
        {"stream": stream, "after_id": after_id},
    )


def last_seal(tx: Tx, stream: str) -> Row | None:
    """Return a stream's newest seal."""
    return tx.first(
        "SELECT * FROM audit_seals WHERE stream = :stream ORDER BY seal_id DESC LIMIT 1",
        {"stream": stream},
    )


def add_seal(tx: Tx, seal: dict[str, Any]) -> None:
    """Keep a seal."""
    tx.insert("audit_seals", seal)


def entries_of(tx: Tx, object_id: str) -> pl.DataFrame:
    """Return what was done to an object, for people: the console's and the terminal's history."""
    return tx.table_frame(
        "audit_entries", "WHERE object_id = :object_id ORDER BY seq", {"object_id": object_id}
    )
