"""Messages of alerts on their way: leased, tried again, written down. Unique by what they say."""

from collections.abc import Sequence
from datetime import datetime

from prebill.store.engine import Row, Tx
from prebill.store.outbox import Outcome


def add(tx: Tx, messages: Sequence[Row], now_at: datetime) -> int:
    """Queue messages; one that was queued before stays as it is."""
    entered = {"status": "pending", "attempts": 0, "next_attempt_at": now_at, "entered_at": now_at}
    return tx.insert_rows(
        "alert_messages", [one | entered for one in messages], on_conflict="ignore"
    )


def lease_due(
    tx: Tx, now_at: datetime, *, channels: Sequence[str], until_at: datetime
) -> Row | None:
    """Take a message that is due: another process leaves it alone until the lease ends."""
    lock = "" if tx.is_sqlite else "FOR UPDATE SKIP LOCKED"
    among = tx.listed(channels)
    times: Row = {"until": until_at, "now": now_at}
    return tx.first(
        "UPDATE alert_messages SET next_attempt_at = :until WHERE message_id IN ("
        "SELECT message_id FROM alert_messages WHERE status = 'pending' "
        f"AND next_attempt_at <= :now AND channel IN ({among.sql}) "
        f"ORDER BY next_attempt_at, message_id LIMIT 1 {lock}) "
        "RETURNING message_id, channel, recipient, payload, attempts",
        times | among.values,
    )


def any_due(tx: Tx, now_at: datetime) -> bool:
    """Whether a message is due."""
    found = tx.scalar(
        "SELECT 1 FROM alert_messages WHERE status = 'pending' AND next_attempt_at <= :now LIMIT 1",
        {"now": now_at},
    )
    return found is not None


def record(tx: Tx, one: Outcome) -> None:
    """Write down how an attempt ended."""
    tx.execute(
        "UPDATE alert_messages SET status = :status, attempts = attempts + 1, "
        "next_attempt_at = :next_at, delivered_at = :delivered_at, last_error = :error "
        "WHERE message_id = :id AND status = 'pending'",
        {
            "id": one.delivery_id,
            "status": one.status,
            "next_at": one.next_attempt_at,
            "delivered_at": one.delivered_at,
            "error": one.error,
        },
    )


def retry_failed(tx: Tx, now_at: datetime) -> int:
    """Put every failed message back after the channel was mended; return how many."""
    return tx.execute(
        "UPDATE alert_messages SET status = 'pending', next_attempt_at = :now, attempts = 0 "
        "WHERE status = 'failed'",
        {"now": now_at},
    )


def failed(tx: Tx) -> list[Row]:
    """Return the messages that failed for good."""
    return tx.rows(
        "SELECT message_id, channel, last_error FROM alert_messages WHERE status = 'failed' "
        "ORDER BY next_attempt_at, message_id"
    )
