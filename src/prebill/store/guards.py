"""Rules between rows that a table's constraints can't say: triggers, in both dialects."""

from typing import Final

import sqlalchemy as sa

from prebill.store.tables import signatures, verdicts

#: Author and approver are two people: who corrected a draft can't release any version of it.
_CORRECTED_BY_THE_SAME = """
    EXISTS (SELECT 1 FROM verdicts earlier
            WHERE earlier.draft_id = NEW.draft_id
              AND earlier.verdict = 'correct'
              AND earlier.entered_by = NEW.{person})
"""
_RELEASE_REFUSAL: Final = "prebill: who corrected a draft may not release it"
_SIGNATURE_REFUSAL: Final = "prebill: who corrected a draft may not sign its release"


def _guard(table: str, condition: str, refusal: str) -> dict[str, tuple[str, ...]]:
    """A trigger that refuses rows before they are inserted."""
    name = f"{table}_four_eyes"
    return {
        "sqlite": (
            f"""
        CREATE TRIGGER {name} BEFORE INSERT ON {table}
        WHEN {condition}
        BEGIN SELECT RAISE(ABORT, '{refusal}'); END
        """,
        ),
        "postgresql": (
            f"""
        CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$
        BEGIN
            IF {condition} THEN
                RAISE EXCEPTION '{refusal}' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END $body$
        """,
            f"""
        CREATE TRIGGER {name} BEFORE INSERT ON {table}
        FOR EACH ROW EXECUTE FUNCTION {name}()
        """,
        ),
    }


#: By the table that each guards.
FOUR_EYES: Final = {
    verdicts: _guard(
        "verdicts",
        f"NEW.verdict = 'release' AND {_CORRECTED_BY_THE_SAME.format(person='entered_by')}",
        _RELEASE_REFUSAL,
    ),
    signatures: _guard(
        "signatures", _CORRECTED_BY_THE_SAME.format(person="user_id"), _SIGNATURE_REFUSAL
    ),
}


def attach() -> None:
    """Create the triggers together with their tables."""
    for table, guards in FOUR_EYES.items():
        for dialect, statements in guards.items():
            for statement in statements:
                ddl = sa.DDL(statement)  # type: ignore[no-untyped-call]
                sa.event.listen(table, "after_create", ddl.execute_if(dialect=dialect))
