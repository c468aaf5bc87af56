"""The audit log's tables: append entries, read them in order, keep seals. Hashing is audit.py's."""

from collections.abc import Sequence
from dataclasses import dataclass
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


def entries_about(tx: Tx, object_ids: Sequence[str]) -> list[Row]:
    """Return what was done to several objects, in order."""
    listed = tx.listed(object_ids)
    return tx.rows(
        f"SELECT * FROM audit_entries WHERE object_id IN ({listed.sql}) ORDER BY seq",
        listed.values,
    )


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; an empty text means all. ``action`` is an action or its beginning."""

    object_id: str = ""
    actor: str = ""
    action: str = ""
    stream: str = ""
    #: Days, ISO; the second one included.
    since_on: str = ""
    until_on: str = ""


def search_entries(
    tx: Tx, which: AuditFilter, *, before_seq: int | None = None, limit: int = 100
) -> list[Row]:
    """Return entries, the newest first, before a number."""
    conditions = ["1 = 1"]
    named: dict[str, object] = {"limit": limit}
    given: dict[str, tuple[str, object]] = {
        "object_id": ("object_id = :object_id", which.object_id),
        "actor": ("actor = :actor", which.actor),
        "action": ("(action = :action OR action LIKE :action || '.%')", which.action),
        "stream": ("stream = :stream", which.stream),
        "since_on": ("entered_at >= :since_on", which.since_on),
        "until_on": ("substr(entered_at, 1, 10) <= :until_on", which.until_on),
        "before_seq": ("seq < :before_seq", before_seq),
    }
    for name, (condition, value) in given.items():
        if value:
            conditions.append(condition)
            named[name] = value
    return tx.rows(
        f"SELECT * FROM audit_entries WHERE {' AND '.join(conditions)} "
        "ORDER BY seq DESC LIMIT :limit",
        named,
    )


def sealed_up_to(tx: Tx) -> dict[str, int]:
    """Return the number up to which each stream is sealed."""
    rows = tx.rows("SELECT stream, max(last_seq) AS seq FROM audit_seals GROUP BY stream")
    return {row["stream"]: row["seq"] for row in rows}
