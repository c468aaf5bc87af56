"""What came in, on the SQL side: reference rows, imports, quarantine, staged events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl
import sqlalchemy as sa

from prebill.core.schemas import Frame
from prebill.core.schemas.inbound import USAGE_EVENTS
from prebill.store.codec import instant_text
from prebill.store.engine import Row, Tx
from prebill.store.tables import quarantine, schema_of, staged_events

#: Ids in one IN list; SQLite takes 32,766 parameters.
_IDS_AT_ONCE: Final = 5_000
#: Rows that are Python tuples at one time.
_ROWS_AT_ONCE: Final = 100_000

QUARANTINE: Final = schema_of(quarantine)


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One import of one file: what the table ``imports`` keeps."""

    import_id: str
    file: str
    contract: str
    digest: str
    rows: int
    good: int
    known: int
    rejected: int


def reference_rows(tx: Tx, frame: Frame) -> pl.DataFrame:
    """Return every row of a reference table, in the frame's own types."""
    return tx.table_frame(frame.name, columns=frame.names)


def distinct_rows(tx: Tx, table: str, columns: tuple[str, ...]) -> pl.DataFrame:
    """Return the distinct values of columns of a table."""
    return tx.table_frame(table, columns=list(columns)).unique()


def upsert_reference(tx: Tx, table: str, rows: pl.DataFrame, import_id: str) -> int:
    """Insert new rows and update those whose key exists."""
    named = rows.with_columns(pl.lit(import_id).alias("import_id"))
    return tx.insert_frame(table, named, on_conflict="replace")


def next_import_id(tx: Tx, contract: str, digest: str) -> str:
    """Name the n-th import of a file by its content: ``customers-3f2a…-1``."""
    stem = f"{contract}-{digest[:16]}-"
    count = tx.scalar(
        "SELECT count(*) FROM imports WHERE contract = :contract AND digest = :digest",
        {"contract": contract, "digest": digest},
    )
    return f"{stem}{count + 1}"


def record_import(tx: Tx, record: ImportRecord, *, entered_at: datetime, entered_by: str) -> None:
    """Keep what an import did so far; each block of a long file replaces the figures."""
    row = {
        "import_id": record.import_id,
        "file": record.file,
        "contract": record.contract,
        "digest": record.digest,
        "rows": record.rows,
        "good": record.good,
        "known": record.known,
        "rejected": record.rejected,
        "entered_at": entered_at,
        "entered_by": entered_by,
    }
    tx.insert("imports", row, on_conflict="replace")


def add_quarantine(tx: Tx, rows: pl.DataFrame) -> int:
    """Add bad rows; one that is there already keeps its place, a resolved one opens again.

    A dismissed row stays dismissed: somebody looked at exactly this content.
    """
    if rows.is_empty():
        return 0
    reopened = _existing(tx, rows["contract"][0], "resolved").join(rows, on="quarantine_id")
    added = 0
    for part in rows.select(QUARANTINE.names()).iter_slices(_ROWS_AT_ONCE):
        added += tx.insert_frame("quarantine", part, on_conflict="ignore")
    return added + set_status(tx, reopened["quarantine_id"].to_list(), "open", None)


def dismissed_among(tx: Tx, rows: pl.DataFrame) -> int:
    """Count the rows that somebody has dismissed before."""
    if rows.is_empty():
        return 0
    return _existing(tx, rows["contract"][0], "dismissed").join(rows, on="quarantine_id").height


def _existing(tx: Tx, contract: str, status: str) -> pl.DataFrame:
    where = "WHERE status = :status AND contract = :contract"
    given = {"status": status, "contract": contract}
    return tx.table_frame("quarantine", where, given, columns=["quarantine_id"])


def set_status(tx: Tx, ids: list[str], status: str, at: datetime | None) -> int:
    """Give quarantine rows another status; return how many changed."""
    changed = 0
    for start in range(0, len(ids), _IDS_AT_ONCE):
        statement = (
            sa.update(quarantine)
            .where(quarantine.c.quarantine_id.in_(ids[start : start + _IDS_AT_ONCE]))
            .where(quarantine.c.status != status)
            .values(status=status, resolved_at=None if at is None else instant_text(at))
        )
        changed += tx.execute(statement)
    return changed


def set_findings(tx: Tx, rows: pl.DataFrame) -> None:
    """Replace quarantine rows by what a new check said about them (same ids)."""
    tx.insert_frame("quarantine", rows.select(QUARANTINE.names()), on_conflict="replace")


def open_rows(tx: Tx, contract: str, ids: list[str] | None = None) -> pl.DataFrame:
    """Return the open quarantine rows of a contract, or those of them that are named."""
    where = "WHERE status = 'open' AND contract = :contract ORDER BY file, line, quarantine_id"
    rows = tx.table_frame("quarantine", where, {"contract": contract})
    return rows if ids is None else rows.filter(pl.col("quarantine_id").is_in(ids))


def open_texts(tx: Tx, contract: str) -> pl.DataFrame:
    """Return id, rule and content of the open quarantine rows of a contract: there may be many."""
    where = "WHERE status = 'open' AND contract = :contract"
    columns = ["quarantine_id", "rule", "row_json"]
    return tx.table_frame("quarantine", where, {"contract": contract}, columns=columns)


def open_contracts(tx: Tx) -> list[str]:
    """Return the contracts that have open quarantine rows."""
    rows = tx.rows("SELECT DISTINCT contract FROM quarantine WHERE status = 'open'")
    return [row["contract"] for row in rows]


def open_ids(tx: Tx, ids: list[str]) -> set[str]:
    """Return which of these ids are open quarantine rows."""
    found: set[str] = set()
    for start in range(0, len(ids), _IDS_AT_ONCE):
        chosen = quarantine.c.quarantine_id.in_(ids[start : start + _IDS_AT_ONCE])
        statement = sa.select(quarantine.c.quarantine_id).where(chosen)
        rows = tx.rows(statement.where(quarantine.c.status == "open"))
        found |= {row["quarantine_id"] for row in rows}
    return found


def quarantine_page(
    tx: Tx, *, status: str | None, contract: str | None, limit: int, after: str = ""
) -> list[Row]:
    """Return quarantine rows by id, a page at a time, without the whole row."""
    chosen = sa.select(*(one for one in quarantine.c if one.name != "row_json"))
    chosen = chosen.where(quarantine.c.quarantine_id > after)
    if status is not None:
        chosen = chosen.where(quarantine.c.status == status)
    if contract is not None:
        chosen = chosen.where(quarantine.c.contract == contract)
    return tx.rows(chosen.order_by(quarantine.c.quarantine_id).limit(limit))


def quarantine_counts(tx: Tx) -> list[Row]:
    """Count the open rows by contract, file and rule."""
    return tx.rows(
        "SELECT contract, file, rule, count(*) AS rows FROM quarantine WHERE status = 'open' "
        "GROUP BY contract, file, rule ORDER BY contract, file, rule"
    )


def contract_starts(tx: Tx) -> pl.DataFrame:
    """Return customer_id, starts_on, time_zone of the newest version of every contract."""
    columns = ["contract_id", "customer_id", "starts_on", "time_zone", "recorded_at"]
    rows = tx.table_frame("contracts", columns=columns)
    newest = rows.sort("recorded_at").unique("contract_id", keep="last")
    return newest.select("customer_id", "starts_on", "time_zone")


def closed_periods(tx: Tx) -> pl.DataFrame:
    """Return customer_id, period: months that the entity of a customer's contracts has closed."""
    return tx.frame(
        "SELECT DISTINCT contracts.customer_id AS customer_id, accounting_periods.period AS period "
        "FROM accounting_periods JOIN contracts "
        "ON contracts.entity_id = accounting_periods.entity_id "
        "WHERE accounting_periods.status = 'closed'",
        pl.Schema({"customer_id": pl.String(), "period": pl.String()}),
    )


def document_ids(tx: Tx) -> pl.DataFrame:
    """Return the ids of the documents that Prebill issued itself, as invoice_id."""
    rows = tx.table_frame("documents", columns=["document_id"])
    return rows.rename({"document_id": "invoice_id"})


def stage_events(tx: Tx, events: pl.DataFrame, *, entered_at: datetime, entered_by: str) -> int:
    """Keep acknowledged events until they are moved to the lake."""
    rows = events.select(USAGE_EVENTS.names).with_columns(
        pl.lit(instant_text(entered_at)).alias("entered_at"),
        pl.lit(entered_by).alias("entered_by"),
    )
    return tx.insert_frame("staged_events", rows)


def has_staged(tx: Tx) -> bool:
    """Whether any accepted event waits to be moved."""
    return tx.scalar("SELECT 1 FROM staged_events LIMIT 1") is not None


def staged(tx: Tx, limit: int) -> pl.DataFrame:
    """Return the oldest staged events with their ``seq``."""
    where = "ORDER BY seq LIMIT :limit"
    columns = ["seq", *USAGE_EVENTS.names]
    return tx.table_frame("staged_events", where, {"limit": limit}, columns=columns)


def drop_staged(tx: Tx, seqs: pl.Series) -> int:
    """Drop the staged events that were moved: those read, no event that arrived meanwhile."""
    ids = seqs.to_list()
    dropped = 0
    for start in range(0, len(ids), _IDS_AT_ONCE):
        chosen = staged_events.c.seq.in_(ids[start : start + _IDS_AT_ONCE])
        dropped += tx.execute(sa.delete(staged_events).where(chosen))
    return dropped
