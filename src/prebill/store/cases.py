"""Cases, verdicts and labels: what people are asked and what they answered."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from prebill.core.errors import ConflictError
from prebill.core.scoring.labels import SAMPLE, VERDICT
from prebill.store.codec import canonical_json, now_text
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx
from prebill.store.handling import end_handling


def open_cases(tx: Tx, draft_ids: Sequence[str]) -> pl.DataFrame:
    """Return ``case_id, draft_id, lock_version`` of the open cases of these drafts."""
    return tx.table_frame(
        "cases",
        f"WHERE status = 'open' AND draft_id IN {listed(tx, 'ids')} ORDER BY case_id",
        {"ids": canonical_json(list(draft_ids))},
        columns=["case_id", "draft_id", "lock_version"],
    )


def lapse_cases(tx: Tx, case_ids: Sequence[str], actor: str) -> None:
    """Close cases whose draft version is no longer the one to decide on."""
    tx.execute(
        "UPDATE cases SET status = 'lapsed', lock_version = lock_version + 1, "
        "resolved_by = :actor, resolved_at = :now "
        f"WHERE status = 'open' AND case_id IN {listed(tx, 'ids')}",
        {"ids": canonical_json(list(case_ids)), "actor": actor, "now": now_text()},
    )
    end_handling(tx, list(case_ids))


def close_case(tx: Tx, case_id: str, *, status: str, expected_version: int, actor: str) -> None:
    """Close an open case, if it is still as the person saw it.

    Raises
    ------
    ConflictError
        It changed meanwhile.
    """
    touched = tx.execute(
        "UPDATE cases SET status = :status, lock_version = lock_version + 1, "
        "resolved_by = :actor, resolved_at = :now WHERE case_id = :case_id "
        "AND status = 'open' AND lock_version = :expected",
        {
            "case_id": case_id,
            "status": status,
            "expected": expected_version,
            "actor": actor,
            "now": now_text(),
        },
    )
    if touched != 1:
        message = f"case {case_id} changed meanwhile: reload it and decide again"
        raise ConflictError(message, case_id=case_id, expected_version=expected_version)
    end_handling(tx, [case_id])


def verdicts_on(tx: Tx, draft_id: str) -> list[Row]:
    """Return every verdict on a draft, oldest first."""
    return tx.rows(
        "SELECT * FROM verdicts WHERE draft_id = :draft_id ORDER BY entered_at, verdict_id",
        {"draft_id": draft_id},
    )


def corrections_on(tx: Tx, period: str, first: str, last: str) -> list[tuple[str, str]]:
    """Return the corrections entered for a period's drafts of a range of customers."""
    rows = tx.rows(
        "SELECT v.draft_id, v.correction_json FROM verdicts v JOIN drafts d "
        "ON d.draft_id = v.draft_id AND d.version = v.draft_version "
        "WHERE v.verdict = 'correct' AND d.period = :period "
        "AND d.customer_id BETWEEN :first AND :last ORDER BY v.entered_at, v.verdict_id",
        {"period": period, "first": first, "last": last},
    )
    return [(row["draft_id"], row["correction_json"]) for row in rows]


def save_verdict(
    tx: Tx,
    case: Row,
    *,
    verdict: str,
    reason: str,
    note: str,
    correction: dict[str, Any] | None,
    actor: str,
) -> None:
    """Keep what a person decided; a case has one verdict."""
    row = {
        "verdict_id": f"verdict:{case['case_id']}",
        "case_id": case["case_id"],
        "draft_id": case["draft_id"],
        "draft_version": case["draft_version"],
        "verdict": verdict,
        "reason_code": reason,
        "note": note or None,
        "correction_json": None if correction is None else canonical_json(correction),
        "entered_at": now_text(),
        "entered_by": actor,
    }
    tx.insert("verdicts", row)


def save_label(tx: Tx, case: Row, *, is_error: bool, reason_code: str, actor: str) -> None:
    """Keep what a person found to be true of a draft; that is mature at once.

    Who answers for the random sample sees no recommendation (``store/console.find_case``).
    """
    now = now_text()
    is_sampled = case["kind"] == SAMPLE
    source = SAMPLE if is_sampled else VERDICT
    propensity = tx.scalar(
        "SELECT sample_propensity FROM decisions WHERE draft_id = :id AND draft_version = :version",
        {"id": case["draft_id"], "version": case["draft_version"]},
    )
    row = {
        "label_id": f"{source}:{case['draft_id']}:{case['draft_version']}",
        "draft_id": case["draft_id"],
        "draft_version": case["draft_version"],
        "is_error": is_error,
        "source": source,
        "reason_code": reason_code,
        "entered_by": actor,
        "entered_at": now,
        "matures_on": now[:10],
        "was_shown": not is_sampled,
        "propensity": propensity if is_sampled else None,
    }
    tx.insert("labels", row, on_conflict="replace")


def open_gap_cases(tx: Tx, period: str, first: str, last: str) -> pl.DataFrame:
    """Return the open cases of missing invoices of a range of customers; see rows.py for the id."""
    return tx.table_frame(
        "cases",
        "WHERE kind = 'gap' AND status = 'open' AND draft_id >= :first AND draft_id < :last "
        "ORDER BY case_id",
        {"first": f"gap:{period}:{first}:", "last": f"gap:{period}:{last};"},
        columns=["case_id", "draft_id", "lock_version"],
    )
