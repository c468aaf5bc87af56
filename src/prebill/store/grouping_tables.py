"""Tables of cases that have one cause, and of decisions on all of them at once."""

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.store.columns import instant, integer, key, one_of, optional, text


def define_grouping(metadata: sa.MetaData) -> None:
    """Define ``case_causes``, ``group_decisions`` and ``group_members``.

    A cause stays known after its case is closed: what was found in a sample of it supports the
    decision on the rest. A member that was detached is decided by itself.
    """
    sa.Table(
        "case_causes",
        metadata,
        key("case_id"),
        text("cause"),
        optional("detached_at", Kind.INSTANT),
        optional("detached_by"),
        sa.Index(None, "cause", "case_id"),
    )
    sa.Table(
        "group_decisions",
        metadata,
        key("decision_id"),
        text("cause"),
        text("verdict"),
        text("reason_code"),
        text("note"),
        integer("sampled"),
        text("status"),
        instant("entered_at"),
        text("entered_by"),
        optional("finished_at", Kind.INSTANT),
        one_of("verdict", "release", "reject"),
        one_of("status", "running", "finished"),
        sa.Index(None, "cause"),
    )
    sa.Table(
        "group_members",
        metadata,
        key("decision_id"),
        key("case_id"),
        integer("lock_version"),
        text("status"),
        optional("message"),
        one_of("status", "pending", "done", "refused"),
        sa.ForeignKeyConstraint(["decision_id"], ["group_decisions.decision_id"]),
    )
