"""What learning reads of past judgements: when runs judged, whom, and what proved to be wrong."""

from typing import Final

import polars as pl

from prebill.core.schemas.internal import DECISIONS
from prebill.store.engine import Tx

#: The id under which the hook stores its decisions; they have no run.
GATE_RUN: Final = "gate"

_TEXT: Final = pl.String()
_INSTANT: Final = pl.Datetime("us", "UTC")


def runs_in_order(tx: Tx) -> pl.DataFrame:
    """Return ``run_id, as_of_at`` of the finished runs, the oldest first."""
    return tx.frame(
        "SELECT run_id, as_of_at FROM runs WHERE status = 'finished' ORDER BY as_of_at, run_id",
        {"run_id": _TEXT, "as_of_at": _INSTANT},
    )


def customers_of_drafts(tx: Tx) -> pl.DataFrame:
    """Return ``invoice_id, customer_id``: the draft, under the name that decisions give it."""
    return tx.frame(
        "SELECT draft_id AS invoice_id, customer_id FROM drafts "
        "UNION SELECT draft_id, customer_id FROM engine_drafts",
        {"invoice_id": _TEXT, "customer_id": _TEXT},
    )


def decisions_of(tx: Tx, run_id: str) -> pl.DataFrame:
    """Return ``DECISIONS`` under a run's id with ``draft_version``, ordered by ``decided_at``."""
    names = [name for name in DECISIONS.names if name != "invoice_id"]
    listed = ", ".join(names)
    schema = {"invoice_id": _TEXT, **{name: DECISIONS.schema[name] for name in names}}
    return tx.frame(
        f"SELECT draft_id AS invoice_id, {listed}, decided_at, draft_version FROM decisions "
        "WHERE run_id = :run_id ORDER BY decided_at, draft_id",
        {**schema, "decided_at": _INSTANT, "draft_version": _TEXT},
        {"run_id": run_id},
    )


def judged_drafts(tx: Tx) -> pl.DataFrame:
    """Return what was judged: who, when and how much, with the score and the run that gave it.

    ``day_on``: the first day after the billed period; where the hook's draft has none, its issue.
    """
    schema = {
        **dict.fromkeys(("draft_id", "draft_version", "run_id"), _TEXT),
        **dict.fromkeys(("customer_id", "entity_id", "currency"), _TEXT),
        "day_on": pl.Date(),
        "total_minor": pl.Int64(),
        "anomaly_score": pl.Float64(),
    }
    return tx.frame(
        "SELECT j.draft_id, j.draft_version, j.run_id, d.customer_id, d.entity_id, d.currency, "
        "d.period_end_on AS day_on, d.total_minor, j.anomaly_score FROM decisions j "
        "JOIN drafts d ON d.draft_id = j.draft_id AND d.version = j.draft_version UNION ALL "
        "SELECT j.draft_id, j.draft_version, j.run_id, d.customer_id, d.entity_id, d.currency, "
        "coalesce(d.period_end_on, d.issued_on), d.total_minor, j.anomaly_score FROM decisions j "
        "JOIN engine_drafts d ON d.draft_id = j.draft_id AND d.version = j.draft_version "
        "ORDER BY 1, 2",
        schema,
    )


def verdict_errors(tx: Tx) -> pl.DataFrame:
    """Return ``draft_id, found_at`` of drafts that a person found to be wrong."""
    return tx.frame(
        "SELECT draft_id, entered_at AS found_at FROM labels WHERE is_error = :yes "
        "AND source IN ('verdict', 'sample')",
        {"draft_id": _TEXT, "found_at": _INSTANT},
        {"yes": True},
    )


def drafts_of_documents(tx: Tx) -> pl.DataFrame:
    """Return ``document_id, draft_id``: what was issued from which draft."""
    return tx.frame(
        "SELECT document_id, draft_id FROM documents",
        {"document_id": _TEXT, "draft_id": _TEXT},
    )
