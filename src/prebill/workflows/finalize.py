"""Issue: number, document, journal and deliveries, in the caller's transaction.

Numbers are taken in a block per entity and series and exist only if the transaction commits.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import polars as pl

from prebill import audit
from prebill.core.accounting.journal import POSTINGS
from prebill.store.codec import now_text
from prebill.store.documents import require_open_month, reserve_numbers, save_documents
from prebill.store.engine import Tx

FILES: Final = "files"
WEBHOOK: Final = "webhook"


@dataclass(frozen=True, slots=True)
class Issuing:
    """What issuing needs besides the drafts: when, in which series, to where, and by whom."""

    #: Entity → today in its zone. A series never goes back: its last date wins if it is later.
    issued_on: dict[str, date]
    #: Entity → series of its invoice numbers.
    series: dict[str, str]
    channels: tuple[str, ...]
    actor: str


def issue(tx: Tx, drafts: pl.DataFrame, postings: pl.DataFrame, issuing: Issuing) -> pl.DataFrame:
    """Issue released drafts.

    Parameters
    ----------
    tx : Tx
        Everything happens in it, or nothing.
    drafts : pl.DataFrame, DRAFTS
        Sorted by draft, so that a repeated run numbers alike.
    postings : pl.DataFrame
        Of these drafts, from :func:`prebill.core.accounting.journal.postings`.
    issuing : Issuing
        See there.

    Returns
    -------
    pl.DataFrame
        ``draft_id, document_id, issued_on``.

    Raises
    ------
    ConflictError
        The month of the issue date is closed; nothing was issued.
    """
    if drafts.is_empty():
        return pl.DataFrame(schema=["draft_id", "document_id", "issued_on"])
    entered_at = now_text()
    parts = [
        _numbered(tx, own, issuing) for own in drafts.partition_by("entity_id", maintain_order=True)
    ]
    documents = pl.concat(parts).select(
        "document_id",
        "entity_id",
        "series",
        "sequence",
        kind=pl.when(pl.col("total_minor") < 0)
        .then(pl.lit("credit_note"))
        .otherwise(pl.lit("invoice")),
        draft_id="draft_id",
        draft_version="version",
        customer_id="customer_id",
        contract_id="contract_id",
        currency="currency",
        issued_on="issued_on",
        due_on=pl.col("issued_on") + pl.duration(days=pl.col("payment_terms_days")),
        tax_point_on="tax_point_on",
        period_start_on="period_start_on",
        period_end_on="period_end_on",
        subtotal_minor="subtotal_minor",
        tax_minor="tax_minor",
        total_minor="total_minor",
        entered_at=pl.lit(entered_at),
        entered_by=pl.lit(issuing.actor),
    )
    save_documents(tx, documents, _entries(documents, postings), _outbox(documents, issuing))
    _audited(tx, documents, issuing.actor)
    return documents.select("draft_id", "document_id", "issued_on")


def _numbered(tx: Tx, drafts: pl.DataFrame, issuing: Issuing) -> pl.DataFrame:
    """The drafts of one entity with series, sequence, document id and date."""
    entity_id = drafts["entity_id"][0]
    series = issuing.series[entity_id]
    block = reserve_numbers(tx, entity_id, series, drafts.height)
    planned = issuing.issued_on[entity_id]
    issued_on = max(planned, block.last_issued_on or planned)
    require_open_month(tx, entity_id, issued_on)
    sequence = pl.int_range(block.first, block.first + drafts.height, dtype=pl.Int64)
    return drafts.with_columns(
        series=pl.lit(series), sequence=sequence, issued_on=pl.lit(issued_on)
    ).with_columns(
        document_id=pl.format("{}-{}", "series", pl.col("sequence").cast(pl.String).str.zfill(7))
    )


def _entries(documents: pl.DataFrame, postings: pl.DataFrame) -> pl.DataFrame:
    named = documents.select("draft_id", entry_id=pl.format("J:{}", "document_id"))
    own = postings.join(named, on="draft_id", how="inner", maintain_order="left")
    return own.select("entry_id", *(name for name in POSTINGS.names() if name != "draft_id"))


def _outbox(documents: pl.DataFrame, issuing: Issuing) -> pl.DataFrame:
    """One delivery a channel. The document is immutable, so a delivery only names it."""
    rows = documents.select("document_id", "entered_at").join(
        pl.DataFrame({"channel": list(issuing.channels)}, schema={"channel": pl.String()}),
        how="cross",
    )
    return rows.select(
        "document_id",
        "channel",
        delivery_id=pl.format("{}:{}", "document_id", "channel"),
        payload=pl.concat_str(
            pl.lit('{"document_id":"'), "document_id", pl.lit('","event":"invoice.issued"}')
        ),
        status=pl.lit("pending"),
        attempts=pl.lit(0, dtype=pl.Int64),
        next_attempt_at=pl.col("entered_at"),
    )


def _audited(tx: Tx, documents: pl.DataFrame, actor: str) -> None:
    detail = pl.struct("draft_id", "draft_version", "total_minor", "currency").struct.json_encode()
    audit.record_many(
        tx,
        documents.select(
            pl.lit(actor).alias("actor"),
            pl.lit("document.issued").alias("action"),
            pl.col("document_id").alias("object_id"),
            detail.alias("detail"),
        ),
    )
