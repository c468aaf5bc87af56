"""Resolved cases as help for open ones: kept with each verdict, read by reason and customer."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import polars as pl

from prebill.core.scoring.labels import SAMPLE
from prebill.core.triage.recommend import MOST_CASES, Recommendation, Recommender
from prebill.core.triage.resolutions import RESOLUTIONS, facts_of
from prebill.store.codec import canonical_json, now_text
from prebill.store.drafts import listed
from prebill.store.engine import Tx

#: Candidates a reason code, and of the same customer: the latest ones.
BY_CODE: Final = 500
BY_CUSTOMER: Final = 100
#: Codes that candidates are looked for by: bounds the time of a case with very many.
MOST_CODES: Final = 6
_COLUMNS: Final = ", ".join(RESOLUTIONS.names)

#: A case with what was found on it; a gap is on no draft.
_CASES: Final = """
    SELECT c.case_id, c.kind, coalesce(d.customer_id, g.customer_id) AS customer_id, c.queue,
    c.currency, coalesce(d.total_minor, g.total_minor, 0) AS total_minor,
    e.anomaly_score, e.p_error, e.findings_json, e.reasons,
    coalesce(d.lines_json, g.lines_json) AS lines_json
    {more} FROM cases c
    LEFT JOIN decisions e ON e.draft_id = c.draft_id AND e.draft_version = c.draft_version
    LEFT JOIN drafts d ON d.draft_id = c.draft_id AND d.version = c.draft_version
    LEFT JOIN engine_drafts g ON g.draft_id = c.draft_id AND g.version = c.draft_version
"""
_CASE_SCHEMA: Final = pl.Schema(
    {
        **dict.fromkeys(("case_id", "kind", "customer_id", "queue", "currency"), pl.String()),
        "total_minor": pl.Int64(),
        "anomaly_score": pl.Float64(),
        "p_error": pl.Float64(),
        **dict.fromkeys(("findings_json", "reasons", "lines_json"), pl.String()),
    }
)
_VERDICT: Final = ", v.entered_at, v.entered_by, v.verdict, v.reason_code"
_VERDICT_SCHEMA: Final = {
    "entered_at": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("entered_by", "verdict", "reason_code"), pl.String()),
}


def case_facts(tx: Tx, case_id: str) -> pl.DataFrame:
    """What is known of a case, a row a reason code; ``FACTS``."""
    frame = tx.frame(
        _CASES.format(more="") + "WHERE c.case_id = :id", _CASE_SCHEMA, {"id": case_id}
    )
    return facts_of(_with_customer(frame)).with_columns(first_queue="queue")


def remember(tx: Tx, case_ids: Sequence[str], first_queues: Mapping[str, str] | None = None) -> int:
    """Keep resolved cases as help for others, in the transaction of their verdicts.

    Those of the random sample are left out: they were released, and answered blind.
    ``first_queues``: case → where it was opened, if it was resolved elsewhere.
    """
    found = tx.frame(
        _CASES.format(more=_VERDICT) + "JOIN verdicts v ON v.case_id = c.case_id "
        f"WHERE c.kind <> '{SAMPLE}' AND c.case_id IN {listed(tx, 'ids')}",
        {**_CASE_SCHEMA, **_VERDICT_SCHEMA},
        {"ids": canonical_json(list(case_ids))},
    )
    rows = facts_of(_with_customer(found)).rename(
        {"entered_at": "resolved_at", "entered_by": "resolved_by"}
    )
    moved = pl.col("case_id").replace_strict(
        dict(first_queues or {}), default=None, return_dtype=pl.String()
    )
    rows = rows.with_columns(first_queue=pl.coalesce(moved, "queue")).select(RESOLUTIONS.names)
    return tx.insert_frame("resolutions", rows, on_conflict="replace")


def _with_customer(cases: pl.DataFrame) -> pl.DataFrame:
    """The case of a gap, ``case:gap:period:customer:…``, names the customer by its id alone."""
    named = pl.col("case_id").str.split(":").list.get(3, null_on_oob=True)
    whose = pl.when((pl.col("kind") == "gap") & pl.col("customer_id").is_null()).then(named)
    return cases.with_columns(customer_id=pl.coalesce(whose, "customer_id"))


def candidates(tx: Tx, codes: Sequence[str], customer_id: str | None) -> pl.DataFrame:
    """Resolved cases that share a code, the latest ones, and those of the customer."""
    asked = [("code", code, BY_CODE) for code in codes[:MOST_CODES]]
    if customer_id is not None:
        asked.append(("customer_id", customer_id, BY_CUSTOMER))
    if not asked:
        return RESOLUTIONS.empty()
    parts = [
        f"SELECT * FROM (SELECT {_COLUMNS} FROM resolutions WHERE {column} = :value{place} "
        f"ORDER BY resolved_at DESC LIMIT {limit}) AS part{place}"
        for place, (column, _, limit) in enumerate(asked)
    ]
    values = {f"value{place}": value for place, (_, value, _) in enumerate(asked)}
    return tx.frame(" UNION ALL ".join(parts), RESOLUTIONS.schema, values)


def latest_resolutions(tx: Tx, limit: int = 2 * MOST_CASES) -> pl.DataFrame:
    """The latest resolved cases, a row a code."""
    where = "ORDER BY resolved_at DESC, case_id, code LIMIT :limit"
    return tx.table_frame("resolutions", where, {"limit": limit})


def forgotten(tx: Tx, limit: int) -> list[str]:
    """Cases with a verdict that were not kept, such as those resolved before there was help."""
    rows = tx.rows(
        "SELECT v.case_id FROM verdicts v JOIN cases c ON c.case_id = v.case_id "
        "LEFT JOIN resolutions r ON r.case_id = v.case_id "
        f"WHERE r.case_id IS NULL AND c.kind <> '{SAMPLE}' ORDER BY v.verdict_id LIMIT :limit",
        {"limit": limit},
    )
    return [row["case_id"] for row in rows]


# ── What was recommended ─────────────────────────────────────────────────────────────────────


def live_recommender(tx: Tx) -> tuple[str | None, Recommender | None]:
    """Digest of the newest model, and the model; None: nothing was learnt yet."""
    row = tx.first(
        "SELECT digest, model_json FROM recommenders ORDER BY fitted_at DESC, digest LIMIT 1"
    )
    return (
        (None, None) if row is None else (row["digest"], Recommender.from_json(row["model_json"]))
    )


def save_recommender(tx: Tx, recommender: Recommender, fitted_at: datetime) -> str:
    """Put a model in use; return its digest."""
    text = recommender.to_json()
    digest = hashlib.sha256(text.encode()).hexdigest()
    row = {
        "digest": digest,
        "verdicts": recommender.verdicts,
        "model_json": text,
        "fitted_at": fitted_at,
    }
    tx.insert("recommenders", row, on_conflict="replace")
    return digest


def save_recommendation(
    tx: Tx, case_id: str, told: Recommendation, *, digest: str | None, verdict: str, was_shown: bool
) -> None:
    """Keep what was recommended, shown or withheld, with what the person decided."""
    row = {
        "case_id": case_id,
        "action": told.action,
        "confidence": told.confidence,
        "basis": told.basis,
        "recommender": digest,
        "was_shown": was_shown,
        "verdict": verdict,
        "entered_at": now_text(),
    }
    tx.insert("recommendations", row, on_conflict="replace")


def answers(tx: Tx, limit: int = MOST_CASES) -> pl.DataFrame:
    """The latest recommendations with their verdicts."""
    return tx.table_frame(
        "recommendations",
        "ORDER BY entered_at DESC, case_id LIMIT :limit",
        {"limit": limit},
        columns=["case_id", "action", "verdict", "was_shown", "basis", "confidence"],
    )


def verdict_count(tx: Tx) -> int:
    """How many cases people decided."""
    return int(tx.scalar("SELECT count(*) FROM verdicts"))
