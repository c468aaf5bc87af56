"""Reads for reconciliation: what stands in the tables, side by side."""

import json
from typing import Any

import polars as pl

from prebill.store.drafts import ALIVE, lines_of
from prebill.store.engine import Tx

_TOTALS = pl.Schema({"entity_id": pl.String(), "currency": pl.String(), "total_minor": pl.Int64()})


def latest_runs(tx: Tx, period: str) -> list[str]:
    """The newest finished run of each choice of entity in a period."""
    rows = tx.rows(
        "SELECT run_id FROM runs WHERE period = :period AND status = 'finished' "
        "ORDER BY as_of_at, started_at",
        {"period": period},
    )
    by_entity = {row["run_id"].rsplit("/", 1)[0]: row["run_id"] for row in rows}
    return list(by_entity.values())


def live_lines(tx: Tx, period: str) -> pl.DataFrame:
    """Lines of the live drafts of a period, with customer, contract and its time zone."""
    drafts = tx.frame(
        "SELECT d.draft_id, d.contract_id, d.subscription_id, d.state, d.lines_json "
        f"FROM drafts d WHERE d.period = :period AND d.{ALIVE} ORDER BY d.draft_id",
        {
            "draft_id": pl.String(),
            "contract_id": pl.String(),
            "subscription_id": pl.String(),
            "state": pl.String(),
            "lines_json": pl.String(),
        },
        {"period": period},
    )
    heads = drafts.select("draft_id", "contract_id", "state")
    return lines_of(drafts.select("draft_id", "lines_json")).join(heads, on="draft_id")


def skipped_charges(tx: Tx, run_ids: list[str]) -> pl.DataFrame:
    """Skips of some runs."""
    parts = [
        tx.table_frame("skips", "WHERE run_id = :run_id", {"run_id": run_id}) for run_id in run_ids
    ]
    return pl.concat(parts)


def document_totals(tx: Tx, period_start_on: str) -> pl.DataFrame:
    """Sum of the documents of a period by entity and currency."""
    return tx.frame(
        "SELECT entity_id, currency, CAST(sum(total_minor) AS BIGINT) AS total_minor "
        "FROM documents WHERE period_start_on = :start_on GROUP BY entity_id, currency "
        "ORDER BY entity_id, currency",
        _TOTALS,
        {"start_on": period_start_on},
    )


def receivable_debits(tx: Tx, period_start_on: str) -> pl.DataFrame:
    """Sum of the receivable postings of a period by entity and currency."""
    return tx.frame(
        "SELECT e.entity_id, p.currency, CAST(sum(p.amount_minor) AS BIGINT) AS total_minor "
        "FROM postings p JOIN journal_entries e ON e.entry_id = p.entry_id "
        "JOIN documents d ON d.document_id = e.document_id "
        "WHERE p.purpose = 'receivable' AND d.period_start_on = :start_on "
        "GROUP BY e.entity_id, p.currency ORDER BY e.entity_id, p.currency",
        _TOTALS,
        {"start_on": period_start_on},
    )


def unbalanced_entries(tx: Tx) -> list[dict[str, Any]]:
    """Journal entries that don't sum to zero in both currencies."""
    return tx.rows(
        "SELECT entry_id, sum(amount_minor) AS amount_minor, "
        "sum(functional_minor) AS functional_minor FROM postings GROUP BY entry_id "
        "HAVING sum(amount_minor) <> 0 OR sum(functional_minor) <> 0 ORDER BY entry_id"
    )


def misplaced_drafts(tx: Tx, period: str) -> list[dict[str, Any]]:
    """Drafts whose state is not borne out by a document, an open case or a verdict."""
    return tx.rows(
        "SELECT d.draft_id, d.state FROM drafts d "
        "LEFT JOIN documents o ON o.draft_id = d.draft_id AND o.draft_version = d.version "
        "LEFT JOIN cases c ON c.draft_id = d.draft_id AND c.draft_version = d.version "
        "AND c.status = 'open' AND c.kind <> 'sample' "
        "LEFT JOIN verdicts v ON v.draft_id = d.draft_id AND v.draft_version = d.version "
        "AND v.verdict = 'reject' "
        f"WHERE d.period = :period AND d.{ALIVE} AND NOT ("
        "(d.state = 'issued' AND o.document_id IS NOT NULL) "
        "OR (d.state IN ('in_review', 'held') AND c.case_id IS NOT NULL "
        "AND o.document_id IS NULL) "
        "OR (d.state = 'rejected' AND v.verdict_id IS NOT NULL AND o.document_id IS NULL) "
        "OR (d.state = 'draft' AND o.document_id IS NULL)) ORDER BY d.draft_id",
        {"period": period},
    )


def orphan_documents(tx: Tx, period_start_on: str) -> list[dict[str, Any]]:
    """Documents whose draft version is gone or not issued."""
    return tx.rows(
        "SELECT o.document_id, o.draft_id FROM documents o LEFT JOIN drafts d "
        "ON d.draft_id = o.draft_id AND d.version = o.draft_version AND d.state = 'issued' "
        "WHERE o.period_start_on = :start_on AND d.draft_id IS NULL ORDER BY o.document_id",
        {"start_on": period_start_on},
    )


def number_gaps(tx: Tx) -> list[dict[str, Any]]:
    """Series whose documents don't run from 1 to the last number without a gap."""
    return tx.rows(
        "SELECT n.entity_id, n.series, n.next_number, count(d.document_id) AS documents "
        "FROM number_series n LEFT JOIN documents d "
        "ON d.entity_id = n.entity_id AND d.series = n.series "
        "GROUP BY n.entity_id, n.series, n.next_number "
        "HAVING count(d.document_id) <> n.next_number - 1 ORDER BY n.entity_id, n.series"
    )


def states_of(tx: Tx, period: str) -> dict[str, int]:
    """How many live drafts of a period are in which state."""
    rows = tx.rows(
        "SELECT state, count(*) AS drafts FROM drafts "
        f"WHERE period = :period AND {ALIVE} GROUP BY state ORDER BY state",
        {"period": period},
    )
    return {row["state"]: row["drafts"] for row in rows}


def import_counts(tx: Tx) -> dict[str, int]:
    """Rows of usage files as the imports counted them, and what quarantine and lake index have."""
    row = tx.first(
        "SELECT coalesce(sum(rows), 0) AS rows, "
        "coalesce(sum(good + known + rejected), 0) AS accounted, "
        "coalesce(max(rejected), 0) AS rejected FROM imports WHERE contract = 'usage_events'"
    )
    assert row is not None
    quarantined = tx.scalar("SELECT count(*) FROM quarantine WHERE contract = 'usage_events'")
    named = tx.scalar(
        "SELECT coalesce(sum(rows), 0) FROM lake_batches WHERE table_name = 'usage_events'"
    )
    counted = {name: int(value) for name, value in row.items()}
    return {**counted, "quarantined": int(quarantined), "named": int(named)}


def shard_counts(tx: Tx, run_ids: list[str]) -> dict[str, int]:
    """What the shards of some runs counted, added up."""
    total: dict[str, int] = {}
    for run_id in run_ids:
        rows = tx.rows(
            "SELECT counts FROM run_shards WHERE run_id = :run_id AND counts IS NOT NULL",
            {"run_id": run_id},
        )
        for row in rows:
            for name, value in json.loads(row["counts"]).items():
                total[name] = total.get(name, 0) + value
    return total


def usage_corrections(tx: Tx, period: str) -> pl.DataFrame:
    """Drafts with a quantity that a person set: ``draft_id``."""
    return tx.frame(
        "SELECT DISTINCT v.draft_id FROM verdicts v JOIN drafts d ON d.draft_id = v.draft_id "
        "WHERE d.period = :period AND v.correction_json LIKE '%\"usage_quantity\"%'",
        {"draft_id": pl.String()},
        {"period": period},
    )
