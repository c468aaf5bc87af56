"""What went wrong in the database, in words that say what to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from prebill.core.errors import ConflictError, StorageError

_FULL = "the disk is full"
_HELD = "another process holds"
#: Part of the driver's message → our sentence. SQLite has no codes in SQLAlchemy's errors.
_SENTENCES = (
    ("database is locked", f"{_HELD} the database: try again when it is done"),
    ("lock timeout", f"{_HELD} a lock: try again when it is done"),
    ("disk is full", f"{_FULL}: free some space; nothing was changed"),
    ("no space left", f"{_FULL}: free some space; nothing was changed"),
    # What PostgreSQL says where a file may not grow: a quota, or a limit of the server's process.
    ("diskfull", f"{_FULL}: free some space; nothing was changed"),
    ("file too large", f"{_FULL} or a file may not grow: free some space; nothing was changed"),
    ("disk i/o error", "the disk is full or failing: free some space or mend it, then repeat"),
    ("unable to open database file", "the file can't be opened: check path and permissions"),
    ("readonly database", "the database may only be read: check its permissions"),
    ("not a database", "the file is no SQLite database: check PREBILL_DATABASE_URL"),
    ("disk image is malformed", "the database file is damaged: restore a backup"),
    ("no such table", "the tables are missing: run `prebill init`"),
    ("undefinedtable", "the tables are missing: run `prebill init`"),
    ("does not exist", "the database or a table of it does not exist: run `prebill init`"),
    ("password authentication failed", "the password was refused: check PREBILL_DATABASE_URL"),
    ("connection refused", "no server answers: start PostgreSQL or mend PREBILL_DATABASE_URL"),
    ("could not translate host name", "the host is unknown: mend PREBILL_DATABASE_URL"),
    ("no such file or directory", "no server answers: start PostgreSQL or mend the URL"),
    ("connection timeout", "no server answers: start PostgreSQL or mend PREBILL_DATABASE_URL"),
    ("server closed the connection", "the server went away: try again"),
    ("in recovery mode", "the server is starting again after a failure: see its log, try again"),
)


def parsed_url(database_url: str) -> sa.URL:
    """Parse a database URL; ``postgresql://`` means the psycopg 3 driver.

    Raises
    ------
    StorageError
        It is no URL of SQLite or PostgreSQL. The message shows no password.
    """
    try:
        url = sa.make_url(database_url)
        name = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        name = "unknown"
    if name == "sqlite" and url.database:
        return url.set(drivername="sqlite")
    if name == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    message = "the database URL must be sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
    raise StorageError(message)


@contextmanager
def explained(url: sa.URL) -> Iterator[None]:
    """Turn a driver's error into ours: a broken unique key conflicts, the rest is storage."""
    try:
        yield
    except DBAPIError as error:
        raise explanation(error, url) from error
    except sa.exc.TimeoutError as error:
        shown = url.render_as_string(hide_password=True)
        message = f"database {shown}: all connections are in use: try again"
        raise StorageError(message, database=shown) from error


def explanation(error: DBAPIError, url: sa.URL) -> ConflictError | StorageError:
    """Say what an error of the database means."""
    shown = url.render_as_string(hide_password=True)
    cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
    if isinstance(error, sa.exc.IntegrityError) or "prebill:" in cause:
        message = f"the database refused this: {cause}"
        return ConflictError(message, database=shown)
    text = f"{type(error.orig).__name__} {error.orig}".lower()
    advice = next((sentence for part, sentence in _SENTENCES if part in text), cause)
    return StorageError(f"database {shown}: {advice}", database=shown, cause=cause)


def is_locked(error: StorageError) -> bool:
    """Whether it may pass by itself, once another process is done."""
    return _HELD in str(error)


def full_or_locked(error: BaseException, url: sa.URL) -> StorageError | None:
    """Return our error if this one, or what it came from, is a full disk or a lock."""
    cause: BaseException | None = error
    while cause is not None:
        found = explanation(cause, url) if isinstance(cause, DBAPIError) else cause
        if isinstance(found, StorageError) and any(part in str(found) for part in (_FULL, _HELD)):
            return found
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def watched(met: Callable[[StorageError], BaseException | None]) -> Iterator[None]:
    """Tell ``met`` of every statement in this process that fails on a full disk or a lock.

    What it returns is raised instead: DBOS, too, has engines, and tries again for ever.
    """

    def look(context: sa.ExceptionContext) -> BaseException | None:
        error = context.sqlalchemy_exception
        if context.engine is None or not isinstance(error, DBAPIError):
            return None
        found = full_or_locked(error, context.engine.url)
        return None if found is None else met(found)

    sa.event.listen(sa.Engine, "handle_error", look)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "handle_error", look)


def require_revision(found: str | None, wanted: str, url: sa.URL) -> None:
    """Refuse tables of another revision.

    Raises
    ------
    StorageError
        There are none, or they are older or newer than this program.
    """
    shown = url.render_as_string(hide_password=True)
    if found == wanted:
        return
    if found is None:
        advice = "has no tables yet: run `prebill init`"
    elif found < wanted:
        advice = f"has tables of revision {found}, older than {wanted}: run `prebill init`"
    else:
        advice = f"has tables of revision {found}, newer than {wanted}: install a newer Prebill"
    message = f"the database {shown} {advice}"
    raise StorageError(message, database=shown, found=found, wanted=wanted)
