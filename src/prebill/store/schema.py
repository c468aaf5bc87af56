"""Create or migrate the tables. Done by `prebill init` alone: other commands only check."""

from dataclasses import dataclass

from prebill.store.engine import SCHEMA_REVISION, Store


@dataclass(frozen=True, slots=True)
class Upgrade:
    """From which revision to which; equal where there was nothing to do."""

    before: str | None
    after: str


def upgrade(store: Store) -> Upgrade:
    """Bring the tables to this program's revision; an empty database gets them all.

    Raises
    ------
    StorageError
        The database is newer than this program, or can't be written.
    """
    store.create_place()
    before = store.revision()
    if before is not None and before > SCHEMA_REVISION:
        store.check()
    store.create_all()
    return Upgrade(before, SCHEMA_REVISION)
