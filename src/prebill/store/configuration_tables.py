"""Tables of what moves money: versions of policies and the like, and the rules of their life."""

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.store.columns import instant, integer, key, one_of, optional, text

#: What was approved once, whatever became of it.
_APPROVED = "status IN ('approved', 'live', 'retired')"


def define_configurations(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """Define ``configuration_texts``, kept for ever, and ``configurations``, one row a version.

    ``text_hash`` is the SHA-256 of the text's bytes, ``digest`` that of its meaning. Number 0 is
    what was installed before the first version; nobody wrote or approved it here.
    ``compared_with`` is the digest of what was in force when the simulation was made,
    ``replaces_number`` what was in force before.
    """
    texts = sa.Table(
        "configuration_texts",
        metadata,
        key("kind"),
        key("text_hash"),
        text("digest"),
        text("content"),
        instant("entered_at"),
        sa.Index(None, "kind", "digest"),
    )
    versions = sa.Table(
        "configurations",
        metadata,
        key("kind"),
        key("number", Kind.INTEGER),
        text("name"),
        text("digest"),
        text("text_hash"),
        text("note"),
        text("status"),
        integer("lock_version"),
        text("entered_by"),
        instant("entered_at"),
        optional("submitted_at", Kind.INSTANT),
        optional("simulation"),
        optional("simulated_hash"),
        optional("simulated_at", Kind.INSTANT),
        optional("compared_with"),
        optional("approved_by"),
        optional("approved_at", Kind.INSTANT),
        optional("live_from_at", Kind.INSTANT),
        optional("live_at", Kind.INSTANT),
        optional("retired_at", Kind.INSTANT),
        optional("replaces_number", Kind.INTEGER),
        sa.ForeignKeyConstraint(
            ["kind", "text_hash"], ["configuration_texts.kind", "configuration_texts.text_hash"]
        ),
        one_of("status", "draft", "in_review", "approved", "live", "retired", "withdrawn"),
        sa.CheckConstraint(
            f"number = 0 OR NOT ({_APPROVED}) "
            "OR (approved_by IS NOT NULL AND approved_by <> entered_by)",
            name="author_is_not_approver",
        ),
        sa.CheckConstraint(
            f"number = 0 OR NOT ({_APPROVED}) "
            "OR (simulation IS NOT NULL AND simulated_hash IS NOT NULL "
            "AND simulated_hash = text_hash)",
            name="approval_needs_simulation",
        ),
        sa.CheckConstraint(
            "number > 0 OR (entered_by = 'system' AND status IN ('live', 'retired'))",
            name="installed_is_number_0",
        ),
        sa.CheckConstraint("status <> 'live' OR live_at IS NOT NULL", name="live_has_begun"),
    )
    # One is in force, and one waits for its time: its comparison is with the one in force.
    for status in ("live", "approved"):
        where = sa.text(f"status = '{status}'")
        sa.Index(
            f"uq_configurations_{status}",
            versions.c.kind,
            unique=True,
            sqlite_where=where,
            postgresql_where=where,
        )
    return texts, versions
