"""Alerts: what is beyond its limit, the worst first, and the latest that are over."""

from typing import Any, Final

from prebill.console import words
from prebill.console.pages.queue import viewer_of
from prebill.console.sessions import Visitor
from prebill.console.triage_views import AlertRow, AlertsPage
from prebill.store.alerts import open_alerts, past_alerts
from prebill.store.console import names_of
from prebill.store.engine import Tx
from prebill.store.users import Role

PAST_ROWS: Final = 30


def alerts_page(tx: Tx, visitor: Visitor, problem: str = "") -> AlertsPage:
    """Read the alerts."""
    names = names_of(tx)
    standing, past = open_alerts(tx), past_alerts(tx, PAST_ROWS)
    may_acknowledge = visitor.actor.role >= Role.REVIEWER
    return AlertsPage(
        title="Alerts",
        viewer=viewer_of(visitor),
        summary=_summary(standing),
        open_rows=tuple(_row(row, names, may_acknowledge=may_acknowledge) for row in standing),
        past_rows=tuple(_row(row, names, may_acknowledge=False) for row in past),
        problem=problem,
    )


def _summary(standing: list[dict[str, Any]]) -> str:
    if not standing:
        return "Nothing is beyond its limit."
    critical = sum(row["severity"] == "critical" for row in standing)
    free = sum(row["acknowledged_at"] is None for row in standing)
    return (
        f"{words.counted(len(standing), 'cause')} beyond the limit, {critical:,} critical; "
        f"nobody looks after {free:,} of them yet."
    )


def _row(row: dict[str, Any], names: dict[str, str], *, may_acknowledge: bool) -> AlertRow:
    is_free = row["acknowledged_at"] is None
    return AlertRow(
        severity=row["severity"],
        title=row["title"],
        text=row["text"],
        href="" if row["path"] == "/alerts" else row["path"],
        since=words.instant(row["first_seen_at"]),
        state=state_of(row, names),
        owner=row["owner"],
        acknowledge_path=(
            f"/alerts/{row['alert_id']}/acknowledge" if may_acknowledge and is_free else ""
        ),
    )


def state_of(row: dict[str, Any], names: dict[str, str]) -> str:
    """Say how an alert stands, in one sentence."""
    said = []
    if row["acknowledged_at"]:
        who = names.get(row["acknowledged_by"], row["acknowledged_by"])
        said.append(f"{who} looks after it since {words.instant(row['acknowledged_at'])}")
    elif not (row["resolved_at"] or row["gone_at"]):
        said.append("nobody looks after it")
    if row["escalated_at"]:
        said.append(f"escalated on {words.instant(row['escalated_at'])}")
    if row["resolved_at"]:
        who = names.get(row["resolved_by"], row["resolved_by"])
        said.append(f"resolved by {who} on {words.instant(row['resolved_at'])}")
    if row["gone_at"]:
        said.append(f"its cause was gone on {words.instant(row['gone_at'])}")
    return "; ".join(said)
