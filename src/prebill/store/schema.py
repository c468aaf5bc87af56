"""Create or migrate the tables. Done by `prebill init` alone: other commands only check."""

from dataclasses import dataclass

import sqlalchemy as sa

from prebill.store import faults
from prebill.store.engine import SCHEMA_REVISION, Store
from prebill.store.tables import metadata


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From which revision to which; equal where there was nothing to do."""

    before: str | None
    after: str


def upgrade(store: Store) -> Upgrade:
    """Bring the tables to this program's revision, in one transaction.

    Raises
    ------
    StorageError
        The database is newer than this program, locked, full or can't be written.
    """
    store.create_place()
    before = store.revision()
    if before is not None and before > SCHEMA_REVISION:
        store.check()
    if before != SCHEMA_REVISION:
        _run_migrations(store)
    store.check()
    return Upgrade(before, SCHEMA_REVISION)


def _run_migrations(store: Store) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "prebill.store:migrations")
    with store.transaction() as tx:
        config.attributes["connection"] = tx.connection
        command.upgrade(config, "head")


def ddl_of(dialect: str) -> str:
    """Return the SQL that makes all tables in an empty database; revisions are frozen from it.

    ``dialect`` is sqlite or postgresql.
    """
    statements: list[str] = []

    def keep(statement: sa.schema.ExecutableDDLElement, *_: object, **__: object) -> None:
        text = str(statement.compile(dialect=engine.dialect))
        statements.append("\n".join(line.rstrip() for line in text.strip().splitlines()))

    driver = faults.parsed_url(f"{dialect}:///x").drivername
    engine = sa.create_mock_engine(f"{driver}://", keep)
    metadata.create_all(engine, checkfirst=False)
    return "\n--\n".join(statements) + "\n"
