"""Runs and their shards: frozen at the start, counted at the end."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prebill.core.errors import NotFoundError
from prebill.store.codec import canonical_json, instant_text, now_text, parse_instant
from prebill.store.engine import Store, Tx

ALL_ENTITIES = "*"


@dataclass(frozen=True, slots=True)
class Run:
    """What a run was frozen to. Its id says period, entity and instant."""

    run_id: str
    period: str
    as_of_at: datetime
    is_final: bool
    policy_hash: str
    reference_hash: str
    #: Lake table → batches that the run reads; what arrives later belongs to the next run.
    lake_batches: dict[str, list[str]]
    model_versions: dict[str, str]
    shards: int
    status: str
    entered_by: str
    error: str | None = None

    @property
    def entity_id(self) -> str | None:
        """The one entity that is billed; None: all."""
        entity = entity_of(self.run_id)
        return None if entity == ALL_ENTITIES else entity


def run_id_of(period: str, entity_id: str | None, as_of_at: datetime) -> str:
    """Make the id of a run from what it is.

    Examples
    --------
    >>> from datetime import UTC
    >>> run_id_of("2026-10", None, datetime(2026, 11, 5, tzinfo=UTC))
    '2026-10/*/2026-11-05T00:00:00.000000Z'
    """
    return f"{period}/{entity_id or ALL_ENTITIES}/{instant_text(as_of_at)}"


def entity_of(run_id: str) -> str:
    """The entity named in a run's id, ``*`` for all."""
    return run_id.split("/", 1)[1].rsplit("/", 1)[0]


def save_run(tx: Tx, run: Run, members: list[list[str]]) -> bool:
    """Store a run with its shards; False: it was there, and stays as it is."""
    row = {
        "run_id": run.run_id,
        "period": run.period,
        "as_of_at": run.as_of_at,
        "status": run.status,
        "is_final": run.is_final,
        "policy_hash": run.policy_hash,
        "reference_hash": run.reference_hash,
        "lake_versions": canonical_json(run.lake_batches),
        "model_versions": canonical_json(run.model_versions),
        "shards": len(members),
        "started_at": now_text(),
        "entered_by": run.entered_by,
    }
    if not tx.insert("runs", row, on_conflict="ignore"):
        return False
    shards = [
        {
            "run_id": run.run_id,
            "shard": number,
            "customer_ids": canonical_json(customers),
            "status": "pending",
        }
        for number, customers in enumerate(members)
    ]
    tx.insert_rows("run_shards", shards)
    return True


def load_run(tx: Tx, run_id: str) -> Run:
    """Read a run."""
    row = tx.get("runs", run_id=run_id)
    return Run(
        run_id=row["run_id"],
        period=row["period"],
        as_of_at=parse_instant(row["as_of_at"]),
        is_final=bool(row["is_final"]),
        policy_hash=row["policy_hash"],
        reference_hash=row["reference_hash"],
        lake_batches=json.loads(row["lake_versions"]),
        model_versions=json.loads(row["model_versions"]),
        shards=row["shards"],
        status=row["status"],
        entered_by=row["entered_by"],
        error=row["error"],
    )


def unfinished_run(tx: Tx, period: str, entity_id: str | None) -> str | None:
    """Return the run of this period and entity that was begun and not ended."""
    rows = tx.rows(
        "SELECT run_id FROM runs WHERE period = :period AND status = 'running' ORDER BY started_at",
        {"period": period},
    )
    wanted = entity_id or ALL_ENTITIES
    return next((row["run_id"] for row in rows if entity_of(row["run_id"]) == wanted), None)


def latest_run(tx: Tx, period: str) -> str:
    """Return the newest finished run of a period.

    Raises
    ------
    NotFoundError
        The period was never billed to the end.
    """
    found: str | None = tx.scalar(
        "SELECT run_id FROM runs WHERE period = :period AND status = 'finished' "
        "ORDER BY as_of_at DESC, started_at DESC LIMIT 1",
        {"period": period},
    )
    if found is None:
        message = f"no run of {period} has finished: run `prebill run --period {period}`"
        raise NotFoundError(message, period=period)
    return found


def models_used(tx: Tx) -> dict[str, str]:
    """Return model → version of the latest run that was judged with any."""
    found = tx.scalar(
        "SELECT model_versions FROM runs WHERE model_versions <> '{}' "
        "ORDER BY started_at DESC LIMIT 1"
    )
    return dict(json.loads(found)) if found else {}


def members_of(tx: Tx, run_id: str) -> list[list[str]]:
    """Return the customers of every shard, in the order of the shards."""
    rows = tx.rows(
        "SELECT customer_ids FROM run_shards WHERE run_id = :run_id ORDER BY shard",
        {"run_id": run_id},
    )
    return [json.loads(row["customer_ids"]) for row in rows]


def shard_ended(
    tx: Tx, run_id: str, shard: int, *, counts: dict[str, int], seconds: dict[str, float]
) -> None:
    """Close a shard with what it counted and how long its stages took."""
    values = {
        "status": "finished",
        "counts": canonical_json(counts),
        "seconds": canonical_json(seconds),
        "finished_at": now_text(),
    }
    tx.update("run_shards", values, where={"run_id": run_id, "shard": shard})


def run_ended(tx: Tx, run_id: str, *, error: str | None) -> None:
    """Close a run as finished, or as failed with the reason."""
    values = {
        "status": "failed" if error else "finished",
        "finished_at": now_text(),
        "error": error,
    }
    tx.update("runs", values, where={"run_id": run_id})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    status: str
    shards: int
    finished_shards: int
    error: str | None


def progress_of(store: Store, run_id: str) -> Progress:
    """Return how far a run is."""
    with store.read() as tx:
        run = tx.get("runs", run_id=run_id)
        done = tx.scalar(
            "SELECT count(*) FROM run_shards WHERE run_id = :run_id AND status = 'finished'",
            {"run_id": run_id},
        )
    return Progress(run["status"], run["shards"], int(done), run["error"])


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run did: counts by name, seconds by stage, drafts by state, money by currency."""

    run_id: str
    status: str
    error: str | None
    counts: dict[str, int]
    seconds: dict[str, float]
    states: dict[str, int]
    totals_minor: dict[str, dict[str, int]]
    adjustments: list[dict[str, Any]]


def run_summary(store: Store, run_id: str) -> RunSummary:
    """Sum up a run over its shards and what it stored."""
    with store.read() as tx:
        run = tx.get("runs", run_id=run_id)
        shards = tx.rows(
            "SELECT counts, seconds FROM run_shards WHERE run_id = :run_id AND counts IS NOT NULL",
            {"run_id": run_id},
        )
        states = tx.rows(
            "SELECT state, currency, count(*) AS drafts, sum(total_minor) AS total_minor "
            "FROM drafts WHERE period = :period AND state NOT IN ('superseded', 'lapsed') "
            "GROUP BY state, currency ORDER BY state, currency",
            {"period": run["period"]},
        )
        proposed = tx.rows(
            "SELECT object_id, detail FROM audit_entries "
            "WHERE action = 'adjustment.proposed' ORDER BY seq"
        )
    by_state: dict[str, int] = {}
    totals: dict[str, dict[str, int]] = {}
    for row in states:
        by_state[row["state"]] = by_state.get(row["state"], 0) + row["drafts"]
        totals.setdefault(row["currency"], {})[row["state"]] = int(row["total_minor"])
    details = [{"draft_id": row["object_id"], **json.loads(row["detail"])} for row in proposed]
    return RunSummary(
        run_id=run_id,
        status=run["status"],
        error=run["error"],
        counts=_added(shards, "counts"),
        seconds=_added(shards, "seconds"),
        states=by_state,
        totals_minor=totals,
        adjustments=[one for one in details if one.get("run_id") == run_id],
    )


def _added(shards: list[dict[str, Any]], column: str) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for shard in shards:
        for name, value in json.loads(shard[column] or "{}").items():
            total[name] = total.get(name, 0) + value
    return total


def require_run(store: Store, run_id: str) -> Run:
    """Read a run in a view of its own.

    Raises
    ------
    NotFoundError
        There is none of this id.
    """
    with store.read() as tx:
        if tx.first("SELECT 1 AS x FROM runs WHERE run_id = :run_id", {"run_id": run_id}) is None:
            message = f"there is no run {run_id}"
            raise NotFoundError(message, run_id=run_id)
        return load_run(tx, run_id)
