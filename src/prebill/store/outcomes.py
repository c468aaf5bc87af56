"""What became of drafts: one label a draft version, the random sample, what nobody looked at."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import INVOICES
from prebill.core.schemas.internal import LABELS
from prebill.core.scoring.labels import strongest
from prebill.store.codec import canonical_json, now_text
from prebill.store.drafts import listed
from prebill.store.engine import Tx
from prebill.store.engine_drafts import LIVE
from prebill.store.tables import schema_of, table_of

#: Version under which cases of missing invoices stand: they have no draft to learn from.
_GAP: Final = "gap"


def mature_labels(tx: Tx, mature_on: date) -> pl.DataFrame:
    """Return ``LABELS`` of draft versions that have matured by a day, several of some."""
    labels = tx.table_frame(
        "labels",
        "WHERE matures_on <= :today AND draft_version <> :gap ORDER BY label_id",
        {"today": mature_on, "gap": _GAP},
    )
    return LABELS.conform(labels)


def error_labels(tx: Tx, mature_on: date) -> pl.DataFrame:
    """Return what is known of each draft version by a day.

    Returns
    -------
    pl.DataFrame, one row per draft version, the strongest mature source wins
        ``draft_id, draft_version, is_error, source, weight`` (of the source), ``propensity`` (null
        unless somebody looked at it for the random sample), ``was_shown, matures_on``.
    """
    return strongest(mature_labels(tx, mature_on), mature_on)


def sampled_labels(tx: Tx, mature_on: date) -> pl.DataFrame:
    """Return those of :func:`error_labels` that the random sample of released drafts tells."""
    return error_labels(tx, mature_on).filter(pl.col("propensity").is_not_null())


def save_labels(tx: Tx, labels: pl.DataFrame, actor: str) -> None:
    """Keep ``LABELS`` without who and when; one that is known is replaced."""
    if labels.is_empty():
        return
    entered = labels.with_columns(entered_by=pl.lit(actor), entered_at=pl.lit(now_text()))
    tx.insert_frame("labels", entered, on_conflict="replace")


def issued_invoices(tx: Tx, invoice_ids: Sequence[str]) -> pl.DataFrame:
    """Return those invoices that were judged here, whoever issued them.

    Returns
    -------
    pl.DataFrame
        ``invoice_id, draft_id, draft_version, issued_on, total_minor``.
    """
    documents = schema_of(table_of("documents"))
    names = ("draft_id", "draft_version", "issued_on", "total_minor")
    ids = listed(tx, "ids")
    return tx.frame(
        "SELECT document_id AS invoice_id, draft_id, draft_version, issued_on, total_minor "
        f"FROM documents WHERE document_id IN {ids} UNION ALL "
        "SELECT draft_id, draft_id, version, issued_on, total_minor "
        f"FROM engine_drafts WHERE {LIVE} AND draft_id IN {ids}",
        {"invoice_id": pl.String(), **{name: documents[name] for name in names}},
        {"ids": canonical_json(list(invoice_ids))},
    ).unique("invoice_id", keep="first", maintain_order=True)


def untouched_invoices(tx: Tx) -> pl.DataFrame:
    """Return what was issued, here or by another engine, without anybody having to look at it.

    Returns
    -------
    pl.DataFrame
        ``draft_id, draft_version`` and ``INVOICES``: ``invoice_id`` is the document's, or the
        other engine's.
    """
    documents = schema_of(table_of("documents"))
    names = [*("draft_id", "draft_version", "document_id", "entity_id", "customer_id"), *_SAME]
    schema = {name: documents[name] for name in names}
    same = ", ".join(f"d.{name}" for name in ("entity_id", "customer_id", *_SAME))
    untouched = (
        "NOT EXISTS (SELECT 1 FROM cases c WHERE c.draft_id = d.draft_id AND c.kind <> 'sample')"
    )
    found = tx.frame(
        f"SELECT d.draft_id, d.draft_version, d.document_id, {same} FROM documents d "
        f"WHERE {untouched} UNION ALL SELECT d.draft_id, d.version, d.draft_id, {same} "
        f"FROM engine_drafts d WHERE d.state = 'released' AND {untouched} "
        "ORDER BY 3",
        schema,
    )
    renamed = found.rename({"document_id": "invoice_id", "entity_id": "legal_entity"})
    keys = renamed.select("draft_id", "draft_version")
    return pl.concat(
        [keys, INVOICES.conform(renamed.drop("draft_id", "draft_version"))], how="horizontal"
    )


_SAME: Final = ("currency", "issued_on", "due_on", "total_minor")
