"""Tables of what people do with a case before they decide it: words, files, pauses, escalations."""

import sqlalchemy as sa

from prebill.store.columns import (
    content,
    floating,
    instant,
    integer,
    key,
    one_of,
    optional,
    serial,
    text,
)


def define_handling(metadata: sa.MetaData) -> None:
    """Define ``case_notes``, ``case_files``, ``case_pauses``, ``case_escalations``, urgencies.

    Notes stay for ever. A pause, an escalation and an urgency are rows as long as they last: a
    case has at most one of each.
    """
    # How many times a case counts because its deadline is near; no row: once.
    sa.Table("case_urgencies", metadata, key("case_id"), floating("times"))
    sa.Table(
        "case_files",
        metadata,
        key("digest"),
        text("media_type"),
        integer("size"),
        content("content"),
    )
    sa.Table(
        "case_notes",
        metadata,
        serial("seq"),
        text("case_id"),
        text("kind"),
        text("text"),
        optional("file_name"),
        optional("file_digest"),
        instant("entered_at"),
        text("entered_by"),
        one_of("kind", *NOTE_KINDS),
        sa.ForeignKeyConstraint(["file_digest"], ["case_files.digest"]),
        sa.Index(None, "case_id", "seq"),
    )
    sa.Table(
        "case_pauses",
        metadata,
        key("case_id"),
        text("kind"),
        instant("until_at"),
        optional("asked_user_id"),
        instant("entered_at"),
        text("entered_by"),
        one_of("kind", "snooze", "question"),
        sa.CheckConstraint(
            "(kind = 'question') = (asked_user_id IS NOT NULL)", name="question_has_somebody"
        ),
        sa.Index(None, "asked_user_id"),
    )
    sa.Table(
        "case_escalations",
        metadata,
        key("case_id"),
        text("from_queue"),
        instant("entered_at"),
        text("entered_by"),
    )


NOTE_KINDS = (
    *("comment", "question", "answer", "snooze", "wake"),
    *("escalation", "sent_back"),
)
