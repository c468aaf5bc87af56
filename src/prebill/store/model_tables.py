"""The table of changes of the models in use, and the rules that the database itself enforces."""

import sqlalchemy as sa

from prebill.core.schemas.frame import Kind
from prebill.store.columns import instant, integer, key, one_of, optional, text


def define_model_changes(metadata: sa.MetaData) -> sa.Table:
    """Every change of champion or challenger.

    Two people put a champion in use; ``basis`` says where one was enough: there was no champion
    yet, or the installation has one person only. ``replaces_digest`` is the champion at the
    proposal, empty for none.
    """
    table = sa.Table(
        "model_changes",
        metadata,
        key("model"),
        key("sequence", Kind.INTEGER),
        text("kind"),
        integer("version"),
        text("digest"),
        text("replaces_digest"),
        text("basis"),
        text("status"),
        text("evidence"),
        instant("proposed_at"),
        text("proposed_by"),
        optional("decided_at", Kind.INSTANT),
        optional("decided_by"),
        optional("live_at", Kind.INSTANT),
        one_of("kind", "promote", "rollback", "challenge"),
        one_of("basis", "second_person", "first_champion", "unattended", "evaluation"),
        one_of("status", "proposed", "approved", "live", "withdrawn"),
        sa.CheckConstraint(
            "basis <> 'second_person' OR status NOT IN ('approved', 'live') "
            "OR (decided_by IS NOT NULL AND decided_by <> proposed_by)",
            name="author_is_not_approver",
        ),
        sa.CheckConstraint(
            "basis <> 'evaluation' OR kind = 'challenge'", name="only_two_people_move"
        ),
    )
    _unique_where("open", table, "status IN ('proposed', 'approved')")
    # There is one first champion; later ones need two people.
    _unique_where("first", table, "basis = 'first_champion' AND status <> 'withdrawn'")
    return table


def _unique_where(name: str, table: sa.Table, condition: str) -> None:
    """At most one such row a model."""
    where = sa.text(condition)
    sa.Index(
        f"uq_{table.name}_{name}",
        table.c.model,
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )
