"""Rules between rows that a table's constraints can't say: triggers, in both dialects."""

from typing import Final

import sqlalchemy as sa

from prebill.store.tables import verdicts

#: Author and approver are two people: who corrected a draft can't release any version of it.
_CORRECTED_BY_THE_SAME = """
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.entered_by)
"""
_REFUSAL = "prebill: who corrected a draft may not release it"

FOUR_EYES: Final[dict[str, tuple[str, ...]]] = {
    "sqlite": (
        f"""
        CREATE TRIGGER verdicts_four_eyes BEFORE INSERT ON verdicts
        WHEN NEW.verdict = 'release' AND {_CORRECTED_BY_THE_SAME}
        BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END
        """,
    ),
    "postgresql": (
        f"""
        CREATE FUNCTION verdicts_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            IF NEW.verdict = 'release' AND {_CORRECTED_BY_THE_SAME} THEN
                RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $body$
        """,
        """
        CREATE TRIGGER verdicts_four_eyes BEFORE INSERT ON verdicts
        FOR EACH ROW EXECUTE FUNCTION verdicts_four_eyes()
        """,
    ),
}


def attach() -> None:
    """Create the triggers together with their tables."""
    for dialect, statements in FOUR_EYES.items():
        for statement in statements:
            ddl = sa.DDL(statement)  # type: ignore[no-untyped-call]
            sa.event.listen(verdicts, "after_create", ddl.execute_if(dialect=dialect))
