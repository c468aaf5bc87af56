"""Issued documents: numbers without gaps, journal, outbox, and the history they become."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from prebill.core.errors import ConflictError
from prebill.core.schemas.inbound import INVOICES
from prebill.store.drafts import lines_of
from prebill.store.engine import Row, Tx
from prebill.store.tables import schema_of, table_of


@dataclass(frozen=True, slots=True)
class Block:
    """Numbers reserved in a series: ``first`` and the following; the date of the last one."""

    first: int
    last_issued_on: date | None


def reserve_numbers(tx: Tx, entity_id: str, series: str, count: int) -> Block:
    """Take the next numbers of a series. They are gone only if this transaction commits.

    The row of the series stays locked until then, so that numbers and dates follow each other.
    """
    key = {"entity_id": entity_id, "series": series}
    tx.insert("number_series", {**key, "next_number": 1}, on_conflict="ignore")
    next_number = tx.scalar(
        "UPDATE number_series SET next_number = next_number + :count "
        "WHERE entity_id = :entity_id AND series = :series RETURNING next_number",
        {**key, "count": count},
    )
    first = int(next_number) - count
    last = tx.scalar(
        "SELECT issued_on FROM documents WHERE entity_id = :entity_id AND series = :series "
        "AND sequence = :sequence",
        {**key, "sequence": first - 1},
    )
    return Block(first, date.fromisoformat(last) if last else None)


def require_open_month(tx: Tx, entity_id: str, issued_on: date) -> None:
    """Refuse a date in a closed month.

    Raises
    ------
    ConflictError
        Nothing posts into a closed accounting period.
    """
    month = f"{issued_on:%Y-%m}"
    status = tx.scalar(
        "SELECT status FROM accounting_periods WHERE entity_id = :entity_id AND period = :period",
        {"entity_id": entity_id, "period": month},
    )
    if status == "closed":
        message = f"{month} of {entity_id} is closed: nothing posts into it; reopen it, or wait"
        raise ConflictError(message, entity_id=entity_id, period=month)


def save_documents(
    tx: Tx, documents: pl.DataFrame, postings: pl.DataFrame, outbox: pl.DataFrame
) -> None:
    """Store documents with their journal entries, postings and deliveries."""
    tx.insert_frame("documents", documents)
    entries = documents.select(
        pl.format("J:{}", "document_id").alias("entry_id"),
        "document_id",
        "entity_id",
        pl.col("issued_on").alias("posting_on"),
        "currency",
        "entered_at",
    )
    tx.insert_frame("journal_entries", entries)
    tx.insert_frame("postings", postings)
    tx.insert_frame("outbox", outbox)


def document_of_draft(tx: Tx, draft_id: str) -> Row | None:
    """Return the document issued from a draft, or None."""
    return tx.first("SELECT * FROM documents WHERE draft_id = :id", {"id": draft_id})


@dataclass(frozen=True, slots=True)
class OwnHistory:
    """Our issued invoices in the gate's shape: INVOICES, and their DRAFT_LINES by document."""

    invoices: pl.DataFrame
    lines: pl.DataFrame


def own_history(
    tx: Tx,
    customers: Sequence[str] | None,
    *,
    issued_before: date,
    since_on: date,
    period_before_on: date = date.max,
) -> OwnHistory:
    """Return what was issued to customers (None: all) from ``since_on`` on for earlier periods."""
    columns = ["document_id", "entity_id", "customer_id", "currency", "issued_on", "due_on"]
    columns += ["period_start_on", "period_end_on", "subtotal_minor", "tax_minor", "total_minor"]
    documents = schema_of(table_of("documents"))
    schema = {name: documents[name] for name in columns} | {"lines_json": pl.String()}
    chosen = ", ".join(f"d.{name}" for name in columns)
    listed = None if customers is None else tx.listed(customers)
    found = tx.frame(
        f"SELECT {chosen}, v.lines_json FROM documents d "
        "JOIN drafts v ON v.draft_id = d.draft_id AND v.version = d.draft_version "
        f"WHERE {'1 = 1' if listed is None else f'd.customer_id IN ({listed.sql})'} "
        "AND d.issued_on < :issued_before AND d.issued_on >= :since_on "
        "AND d.period_start_on < :period_before_on ORDER BY d.document_id",
        schema,
        {
            **({} if listed is None else listed.values),
            "issued_before": issued_before,
            "since_on": since_on,
            "period_before_on": period_before_on,
        },
    )
    invoices = found.rename({"document_id": "invoice_id", "entity_id": "legal_entity"})
    lines = lines_of(found.select(draft_id="document_id", lines_json="lines_json"))
    return OwnHistory(INVOICES.conform(invoices.drop("lines_json")), lines)


def judged_wrong(tx: Tx) -> pl.DataFrame:
    """Return the draft versions that a reviewer found wrong, as they were judged.

    Returns
    -------
    pl.DataFrame, one row per draft (its first wrong version)
        ``INVOICES`` with ``error_minor`` (what the issued total differs by; the whole total where
        nothing was issued) and ``lines_json``. ``invoice_id`` is the document's, else the draft's.
    """
    schema = pl.Schema(
        {
            **{name: INVOICES.schema[name] for name in INVOICES.names if name != "payment_terms"},
            "error_minor": pl.Int64(),
            "lines_json": pl.String(),
        }
    )
    found = tx.frame(
        "SELECT COALESCE(o.document_id, d.draft_id) AS invoice_id, d.customer_id, "
        "d.entity_id AS legal_entity, d.currency, "
        "COALESCE(o.issued_on, substr(l.entered_at, 1, 10)) AS issued_on, "
        "COALESCE(o.due_on, substr(l.entered_at, 1, 10)) AS due_on, "
        "d.period_start_on, d.period_end_on, d.subtotal_minor, d.tax_minor, d.total_minor, "
        "abs(d.total_minor - COALESCE(o.total_minor, 0)) AS error_minor, d.lines_json "
        "FROM labels l JOIN drafts d ON d.draft_id = l.draft_id AND d.version = l.draft_version "
        "LEFT JOIN documents o ON o.draft_id = d.draft_id "
        "WHERE l.source = 'verdict' AND l.is_error ORDER BY l.entered_at, l.label_id",
        schema,
    )
    return found.unique("invoice_id", keep="first", maintain_order=True)
