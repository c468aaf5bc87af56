"""Tables of who agreed to let a draft go, who stands in for whom, and who broke the glass."""

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.store.columns import instant, key, optional, text


def define_approvals(metadata: sa.MetaData) -> sa.Table:
    """Define ``signatures`` (returned: a trigger guards it), ``delegations``, ``broken_glass``.

    A signature binds to the version of a draft and lapses with it. Who broke the glass does not
    review it: the database refuses that.
    """
    signatures = sa.Table(
        "signatures",
        metadata,
        key("draft_id"),
        key("draft_version"),
        key("user_id"),
        text("case_id"),
        text("role"),
        optional("on_behalf_of"),
        instant("entered_at"),
        sa.Index(None, "case_id"),
    )
    sa.Table(
        "delegations",
        metadata,
        key("delegation_id"),
        text("from_user_id"),
        text("to_user_id"),
        instant("from_at"),
        instant("until_at"),
        text("reason"),
        optional("ended_at", Kind.INSTANT),
        instant("entered_at"),
        text("entered_by"),
        sa.CheckConstraint("from_user_id <> to_user_id", name="to_somebody_else"),
        sa.CheckConstraint("from_at < until_at", name="has_an_end"),
        sa.Index(None, "to_user_id"),
        sa.Index(None, "from_user_id"),
    )
    sa.Table(
        "broken_glass",
        metadata,
        key("case_id"),
        text("draft_id"),
        text("reason"),
        instant("entered_at"),
        text("entered_by"),
        optional("reviewed_at", Kind.INSTANT),
        optional("reviewed_by"),
        optional("review"),
        sa.CheckConstraint(
            "reviewed_by IS NULL OR reviewed_by <> entered_by", name="reviewed_by_another"
        ),
    )
    return signatures
