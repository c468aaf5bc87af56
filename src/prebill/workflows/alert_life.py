"""What people do with alerts, each audited: acknowledge, resolve, send again what failed."""

from datetime import datetime

from prebill import audit
from prebill.bootstrap import Installation
from prebill.store import alert_messages, alerts
from prebill.store.engine import Row


def acknowledge(opened: Installation, alert_id: int, actor: str, now_at: datetime) -> Row:
    """Look after an alert; see :func:`prebill.store.alerts.acknowledge`."""
    with opened.store.transaction() as tx:
        row = alerts.acknowledge(tx, alert_id, actor, now_at)
        audit.record(tx, actor, "alert.acknowledged", str(alert_id), {"cause": row["kind"]})
    return row


def resolve(
    opened: Installation, alert_id: int, actor: str, now_at: datetime, *, reason: str
) -> Row:
    """Say that an alert was dealt with; see :func:`prebill.store.alerts.resolve`."""
    with opened.store.transaction() as tx:
        row = alerts.resolve(tx, alert_id, actor, now_at)
        detail: dict[str, object] = {"cause": row["kind"], "reason": reason}
        audit.record(tx, actor, "alert.resolved", str(alert_id), detail)
    return row


def retry(opened: Installation, actor: str, now_at: datetime) -> int:
    """Send the messages again that failed for good; return how many."""
    with opened.store.transaction() as tx:
        number = alert_messages.retry_failed(tx, now_at)
        audit.record(tx, actor, "alert.retried", "messages", {"messages": number})
    return number
