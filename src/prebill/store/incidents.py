"""Runs that stopped more than their policy expects: one incident each, with the likely cause."""

from datetime import datetime
from typing import Final

import polars as pl

from prebill.core.errors import NotFoundError
from prebill.core.policy.breaker import Incident
from prebill.store.codec import canonical_json, instant_text
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx

_TEXT: Final = pl.String()
_CODES: Final = pl.List(pl.Struct({"code": pl.String()}))


def stopped_counts(tx: Tx, run_id: str) -> tuple[int, int]:
    """How many drafts a run decided on, and how many of them its policy would stop."""
    row = tx.first(
        "SELECT count(*) AS drafts, coalesce(sum(CASE WHEN proposed_action <> 'release' THEN 1 "
        "ELSE 0 END), 0) AS stopped FROM decisions WHERE run_id = :run_id "
        "AND draft_version <> 'gap'",
        {"run_id": run_id},
    )
    return (0, 0) if row is None else (int(row["drafts"]), int(row["stopped"]))


def not_in_effect(tx: Tx, run_id: str) -> dict[str, int]:
    """How many drafts of a run a policy would hold or review that its mode lets pass further."""
    rows = tx.rows(
        "SELECT proposed_action, count(*) AS drafts FROM decisions WHERE run_id = :run_id "
        "AND proposed_action <> action GROUP BY proposed_action ORDER BY proposed_action",
        {"run_id": run_id},
    )
    return {row["proposed_action"]: int(row["drafts"]) for row in rows}


def in_common(tx: Tx, run_id: str) -> pl.DataFrame:
    """What the drafts of a run may have in common; see :func:`breaker.tripped`."""
    names = ("proposed_action", "rules", "policy_class", "legal_entity", "currency", "reasons")
    rows = tx.frame(
        "SELECT j.proposed_action, j.rules, j.policy_class, d.entity_id AS legal_entity, "
        "j.currency, j.reasons FROM decisions j JOIN drafts d ON d.draft_id = j.draft_id "
        "AND d.version = j.draft_version WHERE j.run_id = :run_id",
        dict.fromkeys(names, _TEXT),
        {"run_id": run_id},
    )
    codes = pl.col("reasons").str.json_decode(_CODES).list.eval(pl.element().struct.field("code"))
    return rows.select(pl.exclude("reasons"), codes=codes.list.join(","))


def open_incident(tx: Tx, run_id: str, incident: Incident, now_at: datetime) -> None:
    """Store the incident of a run; a run that is repeated keeps the one it had."""
    row = {
        "run_id": run_id,
        "status": "open",
        "drafts": incident.drafts,
        "stopped": incident.stopped,
        "limit_share": incident.limit_share,
        "cause_kind": incident.cause_kind,
        "cause": incident.cause,
        "stopped_with": incident.stopped_with,
        "others_with": incident.others_with,
        "text": incident.text,
        "opened_at": now_at,
    }
    tx.insert_rows("incidents", [row], on_conflict="ignore")


def close_incident(tx: Tx, run_id: str, note: str, *, actor: str, now_at: datetime) -> None:
    """Note that somebody has dealt with an incident.

    Raises
    ------
    NotFoundError
        The run has no open incident.
    """
    closed = tx.execute(
        "UPDATE incidents SET status = 'closed', closed_by = :actor, closed_at = :now, "
        "note = :note WHERE run_id = :run_id AND status = 'open'",
        {"run_id": run_id, "actor": actor, "note": note, "now": instant_text(now_at)},
    )
    if not closed:
        message = f"{run_id} has no open incident: see `prebill policy incidents`"
        raise NotFoundError(message, run_id=run_id)


def incidents(tx: Tx, *, closed: bool = False) -> list[Row]:
    """Return open incidents, the newest first; ``closed``: all of them."""
    where = "" if closed else "WHERE status = 'open'"
    return tx.rows(f"SELECT * FROM incidents {where} ORDER BY opened_at DESC, run_id LIMIT 200")


def incidents_of(tx: Tx, run_ids: list[str]) -> dict[str, Row]:
    """Return the incidents of some runs, by run."""
    rows = tx.rows(
        f"SELECT * FROM incidents WHERE run_id IN {listed(tx, 'ids')}",
        {"ids": canonical_json(run_ids)},
    )
    return {row["run_id"]: row for row in rows}
