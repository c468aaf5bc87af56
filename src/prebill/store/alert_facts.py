"""What stands beyond its limit: one statement a kind of cause, each served by an index.

Statements count only what is beyond ``:edge``; :func:`facts` returns one fact a subject.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from prebill.core.calendar import month_period
from prebill.core.triage.alert_kinds import KINDS
from prebill.core.triage.alerts import PAUSES, AlertRules, Fact
from prebill.store.codec import parse_instant
from prebill.store.engine import Row, Tx

#: Kind → subject, count, instant of those beyond the edge. ``:now`` is the present instant.
_STATEMENTS: Final[dict[str, str]] = {
    # The sample delays nothing: its cases are of action release.
    "case_past_due": """
        SELECT queue AS subject, count(*) AS count, min(due_at) AS at FROM cases
        WHERE status = 'open' AND due_at <= :edge AND action <> 'release' GROUP BY queue""",
    "case_near_due": """
        SELECT queue AS subject, count(*) AS count, min(due_at) AS at FROM cases c
        WHERE status = 'open' AND due_at > :now AND due_at <= :edge AND action <> 'release'
          AND NOT EXISTS (SELECT 1 FROM claims l
            WHERE l.case_id = c.case_id AND l.expires_at > :now)
        GROUP BY queue""",
    "approval_waiting": """
        SELECT 'model ' || model AS subject, count(*) AS count, min(proposed_at) AS at
        FROM model_changes WHERE status = 'proposed' AND proposed_at <= :edge GROUP BY model
        UNION ALL
        SELECT kind || ' ' || number, 1, submitted_at FROM configurations
        WHERE status = 'in_review' AND submitted_at <= :edge
        UNION ALL
        SELECT 'releases made alone', count(*), min(entered_at) FROM broken_glass
        WHERE reviewed_at IS NULL AND entered_at <= :edge HAVING count(*) > 0""",
    "run_stopped": """
        SELECT run_id AS subject, 1 AS count, opened_at AS at FROM incidents
        WHERE status = 'open' AND opened_at <= :edge""",
    "draft_stranded": """
        SELECT 'Prebill' AS subject, count(*) AS count, min(entered_at) AS at FROM drafts d
        WHERE state IN ('held', 'in_review') AND entered_at <= :edge
          AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.draft_id = d.draft_id
            AND c.draft_version = d.version AND c.status = 'open')
        HAVING count(*) > 0
        UNION ALL
        SELECT 'other engines', count(*), min(entered_at) FROM engine_drafts d
        WHERE state IN ('held', 'in_review') AND entered_at <= :edge
          AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.draft_id = d.draft_id
            AND c.draft_version = d.version AND c.status = 'open')
        HAVING count(*) > 0""",
    "delivery_waiting": """
        SELECT '' AS subject, count(*) AS count, min(next_attempt_at) AS at FROM outbox
        WHERE status = 'pending' AND next_attempt_at <= :edge HAVING count(*) > 0""",
    "integration_failed": """
        SELECT channel AS subject, count(*) AS count, min(next_attempt_at) AS at FROM outbox
        WHERE status = 'failed' GROUP BY channel""",
    "run_late": """
        SELECT run_id AS subject, 1 AS count, started_at AS at FROM runs
        WHERE status = 'running' AND started_at <= :edge""",
    "run_failed": """
        SELECT run_id AS subject, 1 AS count, coalesce(finished_at, started_at) AS at FROM runs r
        WHERE status = 'failed' AND NOT EXISTS (SELECT 1 FROM runs later
          WHERE later.period = r.period AND later.started_at > r.started_at
            AND later.status = 'finished')""",
    "quarantine_waiting": """
        SELECT contract AS subject, count(*) AS count, min(entered_at) AS at FROM quarantine
        WHERE status = 'open' AND entered_at <= :edge GROUP BY contract""",
    "staging_waiting": """
        SELECT 'usage events' AS subject, count(*) AS count, min(entered_at) AS at
        FROM staged_events WHERE entered_at <= :edge HAVING count(*) > 0
        UNION ALL
        SELECT 'rows of the hook', count(*), min(entered_at)
        FROM hook_rows WHERE entered_at <= :edge HAVING count(*) > 0""",
    "message_failed": """
        SELECT channel AS subject, count(*) AS count, min(next_attempt_at) AS at
        FROM alert_messages WHERE status = 'failed' GROUP BY channel""",
}


def facts(tx: Tx, rules: AlertRules, now_at: datetime) -> list[Fact]:
    """Measure everything that SQL knows."""
    found: list[Fact] = []
    for kind, statement in _STATEMENTS.items():
        edge = rules.edge(kind, now_at)
        if edge is not None:
            rows = tx.rows(statement, {"edge": edge, "now": now_at})
            found += [_fact(kind, row) for row in rows]
    found += _overdue_drafts(tx, rules, now_at)
    found += _silent_feeds(tx, rules, now_at)
    found += _ending_credentials(tx, rules, now_at)
    found += _unsealed(tx, rules, now_at)
    return found + _checked(tx)


def tried_often(tx: Tx, attempts: int) -> list[Row]:
    """Return channel, deliveries and attempts of what is tried again at least so often."""
    return tx.rows(
        "SELECT channel, count(*) AS deliveries, max(attempts) AS attempts FROM outbox "
        "WHERE status = 'pending' AND attempts >= :attempts GROUP BY channel",
        {"attempts": attempts},
    )


def _fact(kind: str, row: Row, detail: str = "") -> Fact:
    return Fact(kind, row["subject"], int(row["count"]), parse_instant(row["at"]), detail)


def _overdue_drafts(tx: Tx, rules: AlertRules, now_at: datetime) -> list[Fact]:
    """Drafts of the last year that stayed preliminary past their entity's issue-by date.

    Their months are counted only once the earliest such date is beyond its limit.
    """
    edge = rules.edge("draft_overdue", now_at)
    entities = tx.rows("SELECT entity_id, issue_by_days FROM legal_entities")
    days = {row["entity_id"]: timedelta(days=row["issue_by_days"]) for row in entities}
    if edge is None or not days:
        return []
    bounds = {"first": f"{now_at - timedelta(days=365):%Y-%m}", "now": f"{now_at:%Y-%m}"}
    periods = tx.rows(
        "SELECT DISTINCT period FROM runs WHERE period >= :first AND period < :now", bounds
    )
    found: list[Fact] = []
    for period in (row["period"] for row in periods):
        ended_at = datetime.combine(month_period(period).end_on, time(), UTC)
        if ended_at + min(days.values()) > edge:
            continue
        rows = tx.rows(
            "SELECT entity_id, count(*) AS count FROM drafts "
            "WHERE period = :period AND state = 'draft' GROUP BY entity_id ORDER BY entity_id",
            {"period": period},
        )
        found += [
            Fact("draft_overdue", f"{period} {name}", row["count"], ended_at + days[name])
            for row in rows
            if (name := row["entity_id"]) in days
        ]
    return found


def _silent_feeds(tx: Tx, rules: AlertRules, now_at: datetime) -> list[Fact]:
    """Sources that pause longer than the limit and than twice their longest pause of late.

    One that spoke once has no rhythm yet.
    """
    edge = rules.edge("feed_silent", now_at)
    rows = tx.rows(
        "SELECT source AS subject, 1 AS count, last_at AS at, pause_seconds FROM feeds "
        "WHERE pause_seconds IS NOT NULL AND last_at <= :edge",
        {"edge": edge},
    )
    return [
        _fact("feed_silent", row)
        for row in rows
        if now_at - parse_instant(row["at"]) > PAUSES * timedelta(seconds=row["pause_seconds"])
    ]


def _ending_credentials(tx: Tx, rules: AlertRules, now_at: datetime) -> list[Fact]:
    """Tokens and bound secrets that end, unless one of the same user and name lasts longer.

    A token made for less time than the limit is short on purpose. One that has ended is named as
    long after its end as before it: then nobody needs it.
    """
    edge = rules.edge("credential_ending", now_at)
    if edge is None:
        return []
    rows = tx.rows(
        "SELECT t.token_id AS subject, 1 AS count, t.expires_at AS at, t.created_at, t.name "
        "FROM tokens t JOIN users u ON u.user_id = t.user_id "
        "WHERE t.revoked_at IS NULL AND t.expires_at <= :edge AND t.expires_at > :past "
        "AND u.is_active AND NOT EXISTS (SELECT 1 FROM tokens n WHERE n.user_id = t.user_id "
        "AND n.name = t.name AND n.revoked_at IS NULL "
        "AND (n.expires_at IS NULL OR n.expires_at > t.expires_at))",
        {"edge": edge, "past": now_at - (edge - now_at)},
    )
    lasting = [
        row
        for row in rows
        if parse_instant(row["at"]) - parse_instant(row["created_at"]) > edge - now_at
    ]
    return [_fact("credential_ending", row | {"subject": _credential(row)}) for row in lasting]


def _credential(row: Row) -> str:
    """Names of tokens are their owners' words; that of a bound secret is ours: ``webhook …``."""
    is_ours = row["name"].startswith("webhook ")
    return f"{row['name']} ({row['subject']})" if is_ours else f"token {row['subject']}"


def _unsealed(tx: Tx, rules: AlertRules, now_at: datetime) -> list[Fact]:
    """Streams of the audit log whose oldest entry without a seal is too old."""
    edge = rules.edge("audit_unsealed", now_at)
    if edge is None:
        return []
    rows = tx.rows("SELECT stream, max(last_seq) AS last_seq FROM audit_seals GROUP BY stream")
    sealed = {row["stream"]: row["last_seq"] for row in rows}
    found = []
    for stream in ("books", "access"):
        row = tx.first(
            "SELECT stream AS subject, count(*) AS count, min(entered_at) AS at "
            # In the text, from a closed set, so that the partial index serves it.
            f"FROM audit_entries WHERE stream = '{stream}' AND seq > :last "
            "AND entered_at <= :edge GROUP BY stream",
            {"last": sealed.get(stream, 0), "edge": edge},
        )
        if row is not None:
            found.append(_fact("audit_unsealed", row))
    return found


def _checked(tx: Tx) -> list[Fact]:
    """What checks found that run elsewhere; a check is named like the kind of its alert."""
    rows = tx.rows(
        "SELECT check_name, problems AS count, since_at AS at, detail FROM checks "
        "WHERE problems > 0"
    )
    return [
        _fact(row["check_name"], row | {"subject": ""}, row["detail"])
        for row in rows
        if row["check_name"] in KINDS
    ]
