"""Heartbeats of workers: who lives, who fell silent."""

from datetime import datetime

from prebill.store.codec import instant_text, now_text
from prebill.store.engine import Store


def beat(store: Store, worker_id: str, at: datetime | None = None) -> None:
    """Say that a worker lives; an instant long ago says that it has stopped."""
    now = now_text() if at is None else instant_text(at)
    with store.transaction() as tx:
        if not tx.update("workers", {"heartbeat_at": now}, where={"worker_id": worker_id}):
            row = {"worker_id": worker_id, "started_at": now, "heartbeat_at": now}
            tx.insert("workers", row, on_conflict="replace")


def forget_worker(store: Store, worker_id: str) -> None:
    """Remove a worker whose work was given back."""
    with store.transaction() as tx:
        tx.execute("DELETE FROM workers WHERE worker_id = :id", {"id": worker_id})


def live_workers(store: Store) -> list[str]:
    """Return every known worker."""
    with store.read() as tx:
        rows = tx.rows("SELECT worker_id FROM workers ORDER BY worker_id")
    return [row["worker_id"] for row in rows]


def silent_workers(store: Store, silent_before_at: datetime) -> list[str]:
    """Return the workers whose last heartbeat is older."""
    with store.read() as tx:
        rows = tx.rows(
            "SELECT worker_id FROM workers WHERE heartbeat_at < :before_at ORDER BY worker_id",
            {"before_at": silent_before_at},
        )
    return [row["worker_id"] for row in rows]
