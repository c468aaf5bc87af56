"""Tables of what a policy leaves out for a while, and of runs that it stopped too much of."""

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.store.columns import column, instant, integer, key, one_of, optional, text


def define_snoozes_and_incidents(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Define ``snoozes``, at most one a rule and customer at a time, and ``incidents``, one a run.

    A snooze is over at ``until_at``, or at ``ended_at`` if somebody ended it before; rows stay.
    """
    snoozes = sa.Table(
        "snoozes",
        metadata,
        key("snooze_id"),
        text("rule_id"),
        text("customer_id"),
        text("reason"),
        instant("until_at"),
        text("entered_by"),
        instant("entered_at"),
        optional("ended_by"),
        optional("ended_at", Kind.INSTANT),
        sa.Index(None, "customer_id"),
    )
    is_live = sa.text("ended_at IS NULL")
    sa.Index(
        "uq_snoozes_live",
        snoozes.c.rule_id,
        snoozes.c.customer_id,
        unique=True,
        sqlite_where=is_live,
        postgresql_where=is_live,
    )
    incidents = sa.Table(
        "incidents",
        metadata,
        key("run_id"),
        text("status"),
        integer("drafts"),
        integer("stopped"),
        column("limit_share", Kind.FLOAT),
        optional("cause_kind"),
        optional("cause"),
        integer("stopped_with"),
        integer("others_with"),
        text("text"),
        instant("opened_at"),
        optional("closed_by"),
        optional("closed_at", Kind.INSTANT),
        optional("note"),
        one_of("status", "open", "closed"),
    )
    return snoozes, incidents
