"""Alerts as they stand and stood: opened once a cause, told, acknowledged, escalated, gone.

Every change is one conditional statement, so that of several processes one alone makes it.
"""

from datetime import datetime, timedelta
from typing import Final

from prebill.core.errors import ConflictError
from prebill.core.triage.alerts import Alert, Severity
from prebill.store.engine import Row, Tx

#: What people still have to do with: the cause stands and nobody said that they dealt with it.
OPEN: Final = "gone_at IS NULL AND resolved_at IS NULL"
#: Worst first, then the oldest.
_WORST: Final = "ORDER BY severity = 'critical' DESC, first_seen_at, alert_id"


def keep(tx: Tx, alert: Alert, owner: str, now_at: datetime) -> str | None:
    """Write down that a cause stands; return ``opened`` or ``worse`` where people are to be told.

    One that became critical counts as new: who acknowledged or resolved the warning looks again.
    """
    severity = alert.severity.name.lower()
    given = {
        "cause": alert.cause,
        "title": alert.title,
        "text": alert.text,
        "path": alert.path,
        "count": alert.count,
        "since_at": alert.at,
        "last_seen_at": now_at,
    }
    values = ", ".join(f"{name} = :{name}" for name in given if name != "cause")
    # First of all the usual case: an insert that is ignored would use up a number every time.
    if not tx.execute(
        f"UPDATE alerts SET {values} WHERE cause = :cause AND gone_at IS NULL", given
    ):
        first: Row = {"kind": alert.kind, "severity": severity, "owner": owner}
        first |= {"first_seen_at": now_at, "told_at": now_at}
        return "opened" if tx.insert("alerts", given | first, on_conflict="ignore") else None
    if alert.severity is not Severity.CRITICAL:
        return None
    rose = tx.execute(
        "UPDATE alerts SET severity = 'critical', told_at = :now, acknowledged_at = NULL, "
        "acknowledged_by = NULL, resolved_at = NULL, resolved_by = NULL "
        "WHERE cause = :cause AND gone_at IS NULL AND severity = 'warning'",
        {"cause": alert.cause, "now": now_at},
    )
    return "worse" if rose else None


def standing(tx: Tx, cause: str) -> Row | None:
    """Return the alert of a cause that stands."""
    return tx.first(
        "SELECT * FROM alerts WHERE cause = :cause AND gone_at IS NULL", {"cause": cause}
    )


def end_gone(tx: Tx, now_at: datetime, gone_after: timedelta) -> list[Row]:
    """End the alerts whose cause was absent for so long; return them."""
    return tx.rows(
        "UPDATE alerts SET gone_at = :now WHERE gone_at IS NULL AND last_seen_at <= :before "
        "RETURNING *",
        {"now": now_at, "before": now_at - gone_after},
    )


def escalate_due(tx: Tx, now_at: datetime, after: timedelta, owner: str) -> list[Row]:
    """Hand over, once, what was told so long ago and nobody acknowledged; return it."""
    return tx.rows(
        "UPDATE alerts SET escalated_at = :now, owner = :owner "
        f"WHERE {OPEN} AND acknowledged_at IS NULL AND escalated_at IS NULL "
        "AND told_at <= :before RETURNING *",
        {"now": now_at, "owner": owner, "before": now_at - after},
    )


def acknowledge(tx: Tx, alert_id: int, user_id: str, now_at: datetime) -> Row:
    """Say that somebody looks after it, so that it is not escalated; the first one counts.

    Raises
    ------
    NotFoundError
        There is no such alert.
    ConflictError
        It is over, or somebody acknowledged it before.
    """
    touched = tx.execute(
        "UPDATE alerts SET acknowledged_at = :now, acknowledged_by = :user "
        f"WHERE alert_id = :id AND {OPEN} AND acknowledged_at IS NULL",
        {"id": alert_id, "user": user_id, "now": now_at},
    )
    return _changed(tx, alert_id, touched, "is over, or somebody acknowledged it before")


def resolve(tx: Tx, alert_id: int, user_id: str, now_at: datetime) -> Row:
    """Say that it was dealt with though its cause may stand: it stays silent unless it gets worse.

    Raises
    ------
    NotFoundError
        There is no such alert.
    ConflictError
        It is over already.
    """
    touched = tx.execute(
        "UPDATE alerts SET resolved_at = :now, resolved_by = :user "
        f"WHERE alert_id = :id AND {OPEN}",
        {"id": alert_id, "user": user_id, "now": now_at},
    )
    return _changed(tx, alert_id, touched, "is over already")


def _changed(tx: Tx, alert_id: int, touched: int, why_not: str) -> Row:
    found = tx.get("alerts", alert_id=alert_id)
    if not touched:
        message = f"alert {alert_id} {why_not}"
        raise ConflictError(message, alert_id=alert_id)
    return found


def open_alerts(tx: Tx) -> list[Row]:
    """Return what people still have to do with, the worst first."""
    return tx.rows(f"SELECT * FROM alerts WHERE {OPEN} {_WORST}")


def past_alerts(tx: Tx, limit: int) -> list[Row]:
    """Return the latest that are over."""
    return tx.rows(
        f"SELECT * FROM alerts WHERE NOT ({OPEN}) ORDER BY alert_id DESC LIMIT :limit",
        {"limit": limit},
    )


def open_counts(tx: Tx) -> dict[str, int]:
    """Count the open ones by severity."""
    rows = tx.rows(
        f"SELECT severity, count(*) AS alerts FROM alerts WHERE {OPEN} GROUP BY severity"
    )
    return {"critical": 0, "warning": 0} | {row["severity"]: row["alerts"] for row in rows}
