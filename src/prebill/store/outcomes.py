"""What became of drafts: verdicts of the random sample, and the documents issued untouched."""

from datetime import date
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import INVOICES
from prebill.store.engine import Tx
from prebill.store.tables import schema_of, table_of

#: Sources of labels that come from the random sample of released drafts.
SAMPLED: Final = ("sample", "sampled_clean")


def error_labels(tx: Tx, mature_on: date) -> pl.DataFrame:
    """Return what is known of each draft version by a day.

    Returns
    -------
    pl.DataFrame
        ``draft_id, draft_version, is_error, source, weight, propensity, was_shown, matures_on``.
    """
    names = ["draft_id", "draft_version", "is_error", "source", "matures_on"]
    found = tx.table_frame(
        "labels",
        "WHERE matures_on <= :today ORDER BY label_id",
        {"today": mature_on},
        columns=names,
    )
    return found.unique(["draft_id", "draft_version"], keep="last", maintain_order=True).select(
        *names[:4],
        weight=pl.lit(1.0),
        propensity=pl.lit(None, dtype=pl.Float64),
        was_shown=pl.lit(value=False),
        matures_on="matures_on",
    )


def sampled_labels(tx: Tx, mature_on: date) -> pl.DataFrame:
    """Return the mature labels of the random sample.

    Returns
    -------
    pl.DataFrame
        ``draft_id, draft_version, is_error`` and, where the table has it, ``propensity``: the
        chance with which the draft was sampled.
    """
    known = schema_of(table_of("labels"))
    names = ["draft_id", "draft_version", "is_error"]
    names += [name for name in ("propensity",) if name in known]
    listed = ", ".join(f"'{source}'" for source in SAMPLED)
    return tx.table_frame(
        "labels",
        f"WHERE source IN ({listed}) AND matures_on <= :today ORDER BY label_id",
        {"today": mature_on},
        columns=names,
    )


def untouched_documents(tx: Tx) -> pl.DataFrame:
    """Return the documents whose drafts no person ever had to look at.

    Returns
    -------
    pl.DataFrame
        ``draft_id, draft_version`` and ``INVOICES`` (``invoice_id`` is the document's).
    """
    documents = schema_of(table_of("documents"))
    names = [*("draft_id", "draft_version", "document_id", "entity_id", "customer_id"), *_SAME]
    schema = {name: documents[name] for name in names}
    listed = ", ".join(f"d.{name}" for name in names)
    found = tx.frame(
        f"SELECT {listed} FROM documents d WHERE NOT EXISTS "
        "(SELECT 1 FROM cases c WHERE c.draft_id = d.draft_id) ORDER BY d.document_id",
        schema,
    )
    renamed = found.rename({"document_id": "invoice_id", "entity_id": "legal_entity"})
    keys = renamed.select("draft_id", "draft_version")
    return pl.concat(
        [keys, INVOICES.conform(renamed.drop("draft_id", "draft_version"))], how="horizontal"
    )


_SAME: Final = ("currency", "issued_on", "due_on", "total_minor")
