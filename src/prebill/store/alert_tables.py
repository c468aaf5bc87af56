"""Tables of alerts: those that stand or stood, their messages, results of checks, usage sources."""

from typing import Any

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.store.columns import instant, integer, key, one_of, optional, serial, text


def define_alerts(metadata: sa.MetaData) -> None:
    """Define the tables, after all others: some of those get indexes of what waits.

    A cause stands until ``gone_at``; until then the database refuses a second alert of it.
    ``resolved_by`` is a person who dealt with it, though it may stand yet. ``told_at``: when people
    were told of its present severity. ``owner`` is an address of ``alerts.toml``.
    """
    alerts = sa.Table(
        "alerts",
        metadata,
        serial("alert_id"),
        text("cause"),
        text("kind"),
        text("severity"),
        text("title"),
        text("text"),
        text("path"),
        integer("count"),
        instant("since_at"),
        text("owner"),
        instant("first_seen_at"),
        instant("last_seen_at"),
        instant("told_at"),
        optional("acknowledged_at", Kind.INSTANT),
        optional("acknowledged_by"),
        optional("escalated_at", Kind.INSTANT),
        optional("resolved_at", Kind.INSTANT),
        optional("resolved_by"),
        optional("gone_at", Kind.INSTANT),
        one_of("severity", "warning", "critical"),
    )
    _partial("uq_alerts_standing", "gone_at IS NULL", alerts.c.cause, is_unique=True)
    _define_messages(metadata)
    # What checks that run elsewhere found last: the audit log's, drift. Problems stand since_at.
    sa.Table(
        "checks",
        metadata,
        key("check_name"),
        instant("begun_at"),
        optional("checked_at", Kind.INSTANT),
        integer("problems"),
        optional("since_at", Kind.INSTANT),
        text("detail"),
    )
    # When a source of usage events last spoke, and its longest pause; null: it spoke once.
    sa.Table(
        "feeds",
        metadata,
        key("source"),
        instant("last_at"),
        optional("pause_seconds", Kind.INTEGER),
    )
    _index_what_waits(metadata)


def _define_messages(metadata: sa.MetaData) -> None:
    """What is to be told, frozen as it was then: one row a channel and recipient."""
    messages = sa.Table(
        "alert_messages",
        metadata,
        key("message_id"),
        integer("alert_id"),
        text("event"),
        text("channel"),
        text("recipient"),
        text("payload"),
        text("status"),
        integer("attempts"),
        instant("next_attempt_at"),
        instant("entered_at"),
        optional("delivered_at", Kind.INSTANT),
        optional("last_error"),
        one_of("event", "opened", "worse", "escalated", "gone"),
        one_of("channel", "mail", "webhook"),
        one_of("status", "pending", "delivered", "failed"),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.alert_id"]),
    )
    _partial(
        "ix_alert_messages_undelivered",
        "status <> 'delivered'",
        messages.c.status,
        messages.c.next_attempt_at,
    )


def _index_what_waits(metadata: sa.MetaData) -> None:
    """Let what is past its limit be found without reading what is not.

    Open cases by deadline, failed deliveries, drafts that wait for a person.
    """
    cases, outbox = metadata.tables["cases"], metadata.tables["outbox"]
    _partial("ix_cases_due", "status = 'open'", cases.c.due_at, cases.c.queue, cases.c.action)
    _partial("ix_outbox_failed", "status = 'failed'", outbox.c.channel)
    # Few entries among very many: without it, those after its last seal are looked for in all.
    audit = metadata.tables["audit_entries"].c
    _partial("ix_audit_entries_access", "stream = 'access'", audit.seq, audit.entered_at)
    for name in ("drafts", "engine_drafts"):
        one = metadata.tables[name].c
        columns = (one.draft_id, one.version, one.entered_at)
        _partial(f"ix_{name}_stopped", "state IN ('held', 'in_review')", *columns)


def _partial(name: str, condition: str, *columns: sa.Column[Any], is_unique: bool = False) -> None:
    """An index of the rows that meet a condition."""
    where = sa.text(condition)
    sa.Index(name, *columns, unique=is_unique, sqlite_where=where, postgresql_where=where)
