"""The outbox: deliveries that are due, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prebill.core.errors import ConflictError
from prebill.store.codec import canonical_json
from prebill.store.drafts import listed
from prebill.store.engine import Row, Tx


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended."""

    delivery_id: str
    status: str
    next_attempt_at: datetime
    delivered_at: datetime | None
    error: str | None


def due_deliveries(
    tx: Tx,
    now_at: datetime,
    *,
    limit: int,
    lease_until_at: datetime,
    draft_ids: Sequence[str] | None = None,
) -> list[Row]:
    """Lease deliveries: another worker leaves them alone until the lease ends.

    Returns the deliveries with their document and its lines as they were issued; one without a
    document has its payload. ``draft_ids``: only decisions on these drafts of other engines.
    """
    lock = "" if tx.is_sqlite else "FOR UPDATE SKIP LOCKED"
    only = "" if draft_ids is None else f"AND draft_id IN {listed(tx, 'drafts')} "
    leased = tx.rows(
        "UPDATE outbox SET next_attempt_at = :until WHERE delivery_id IN ("
        "SELECT delivery_id FROM outbox WHERE status = 'pending' AND next_attempt_at <= :now "
        f"{only}ORDER BY next_attempt_at, delivery_id LIMIT :limit {lock}) RETURNING delivery_id",
        {"until": lease_until_at, "now": now_at, "limit": limit}
        | ({} if draft_ids is None else {"drafts": canonical_json(list(draft_ids))}),
    )
    return _with_documents(tx, [row["delivery_id"] for row in leased])


def _with_documents(tx: Tx, delivery_ids: Sequence[str]) -> list[Row]:
    return tx.rows(
        "SELECT o.delivery_id, o.channel, o.attempts, o.payload, o.draft_id AS decided_draft_id, "
        "d.*, v.lines_json FROM outbox o "
        "LEFT JOIN documents d ON d.document_id = o.document_id "
        "LEFT JOIN drafts v ON v.draft_id = d.draft_id AND v.version = d.draft_version "
        f"WHERE o.delivery_id IN {listed(tx, 'ids')} ORDER BY o.delivery_id",
        {"ids": canonical_json(list(delivery_ids))},
    )


def record_outcomes(tx: Tx, outcomes: Sequence[Outcome]) -> list[str]:
    """Write down how attempts ended; return those that lapsed while they were on their way."""
    lapsed = []
    for one in outcomes:
        touched = tx.execute(
            "UPDATE outbox SET status = :status, attempts = attempts + 1, "
            "next_attempt_at = :next_at, delivered_at = :delivered_at, last_error = :error "
            "WHERE delivery_id = :delivery_id AND status = 'pending'",
            {
                "delivery_id": one.delivery_id,
                "status": one.status,
                "next_at": one.next_attempt_at,
                "delivered_at": one.delivered_at,
                "error": one.error,
            },
        )
        if not touched:
            lapsed.append(one.delivery_id)
    return lapsed


def failed_deliveries(tx: Tx) -> list[Row]:
    """Return the deliveries that need a person, with their last error."""
    return tx.rows(
        "SELECT delivery_id, channel, attempts, last_error FROM outbox WHERE status = 'failed' "
        "ORDER BY delivery_id"
    )


def retry_failed(tx: Tx, delivery_id: str, now_at: datetime) -> None:
    """Put a failed delivery back after a person mended its cause.

    Raises
    ------
    ConflictError
        It has not failed.
    """
    touched = tx.execute(
        "UPDATE outbox SET status = 'pending', next_attempt_at = :now, last_error = NULL "
        "WHERE delivery_id = :delivery_id AND status = 'failed'",
        {"delivery_id": delivery_id, "now": now_at},
    )
    if not touched:
        message = f"delivery {delivery_id} has not failed"
        raise ConflictError(message, delivery_id=delivery_id)


def retry_every_failed(tx: Tx, now_at: datetime) -> list[str]:
    """Put every failed delivery back; return their ids."""
    rows = tx.rows(
        "UPDATE outbox SET status = 'pending', next_attempt_at = :now, last_error = NULL "
        "WHERE status = 'failed' RETURNING delivery_id",
        {"now": now_at},
    )
    return sorted(row["delivery_id"] for row in rows)


def outbox_states(tx: Tx) -> dict[str, int]:
    """How many deliveries are in which state."""
    rows: list[dict[str, Any]] = tx.rows(
        "SELECT status, count(*) AS deliveries FROM outbox GROUP BY status ORDER BY status"
    )
    return {row["status"]: row["deliveries"] for row in rows}
