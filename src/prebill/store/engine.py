"""The database: engines for SQLite and PostgreSQL, and the only place that commits.

A :class:`Tx` writes and reads but never commits. It comes from :meth:`Store.transaction`, or, in
a DBOS step, from the session that DBOS commits together with its step record (:meth:`Tx.inside`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, Self

import polars as pl
import sqlalchemy as sa
from sqlalchemy.orm import Session

from prebill.core.errors import NotFoundError, StorageError
from prebill.store import bulk, faults, guards
from prebill.store.codec import InList, decode, to_sql
from prebill.store.tables import metadata, schema_of, table_of

#: Revision of the tables that this program knows; see migrations/versions.
SCHEMA_REVISION: Final = "0014"

#: How long to wait for SQLite's one writer, and for a lock of PostgreSQL.
BUSY_TIMEOUT_MS: Final = 10_000
LOCK_TIMEOUT_MS: Final = 30_000

Conflict = Literal["raise", "ignore", "replace"]
Row = dict[str, Any]

guards.attach()
#: Alembic's own table: in which revision the tables are.
_revision = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


class Tx:
    """One open transaction. Statements are SQL text with ``:name`` parameters, or SQLAlchemy's."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    @classmethod
    def inside(cls, session: Session | sa.Connection) -> Self:
        """Work inside a transaction that somebody else (DBOS) opened and commits."""
        return cls(session.connection() if isinstance(session, Session) else session)

    @property
    def is_sqlite(self) -> bool:
        """Which engine is under it, for the rare statement that differs."""
        return self.connection.dialect.name == "sqlite"

    def execute(
        self, statement: str | sa.Executable, parameters: Mapping[str, object] | None = None
    ) -> int:
        """Run a statement and return how many rows it touched."""
        return self._run(statement, parameters).rowcount

    def rows(
        self, statement: str | sa.Executable, parameters: Mapping[str, object] | None = None
    ) -> list[Row]:
        """Return the rows as dictionaries; for many rows use :meth:`frame`."""
        return [dict(row) for row in self._run(statement, parameters).mappings()]

    def first(
        self, statement: str | sa.Executable, parameters: Mapping[str, object] | None = None
    ) -> Row | None:
        """Return the first row or None."""
        row = self._run(statement, parameters).mappings().first()
        return None if row is None else dict(row)

    def scalar(
        self, statement: str | sa.Executable, parameters: Mapping[str, object] | None = None
    ) -> Any:
        """Return the first value of the first row or None."""
        return self._run(statement, parameters).scalar()

    def frame(
        self,
        statement: str | sa.Executable,
        schema: pl.Schema | Mapping[str, pl.DataType],
        parameters: Mapping[str, object] | None = None,
    ) -> pl.DataFrame:
        """Return the rows as a frame; decimals, dates and instants become typed columns.

        Parameters
        ----------
        statement : str or SQLAlchemy select
            Its columns must come in the order of ``schema``.
        schema : pl.Schema
            The wanted polars types.
        parameters : mapping, optional
            Values of the ``:name`` parameters.
        """
        result = self._run(statement, parameters)
        wanted = pl.Schema(schema)
        given = list(result.keys())
        if given != wanted.names():
            message = f"the statement returns {given}, the schema names {wanted.names()}"
            raise ValueError(message)
        return decode([tuple(row) for row in result.cursor.fetchall()], wanted)

    def table_frame(
        self,
        table: str,
        where: str = "",
        parameters: Mapping[str, object] | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> pl.DataFrame:
        """Return columns of a table (all, unless named) as a frame of the table's own types.

        ``where`` is what follows the table's name, for example ``WHERE run_id = :run_id``.
        """
        full = schema_of(table_of(table))
        names = list(columns or full.names())
        listed = ", ".join(names)
        schema = pl.Schema({name: full[name] for name in names})
        return self.frame(f"SELECT {listed} FROM {table} {where}", schema, parameters)

    def listed(self, values: Sequence[str]) -> InList:
        """Values for ``IN (...)``: its ``sql`` goes between the brackets, its ``values`` along."""
        return InList.of(values, is_sqlite=self.is_sqlite)

    def insert(
        self, table: str, row: Mapping[str, object], *, on_conflict: Conflict = "raise"
    ) -> int:
        """Insert one row; return 1, or 0 where the conflict was ignored."""
        return self.insert_rows(table, [row], on_conflict=on_conflict)

    def insert_rows(
        self, table: str, rows: Sequence[Mapping[str, object]], *, on_conflict: Conflict = "raise"
    ) -> int:
        """Insert rows that have the same columns; for thousands use :meth:`insert_frame`."""
        if not rows:
            return 0
        names = list(rows[0])
        values = [tuple(to_sql(row[name]) for name in names) for row in rows]
        return bulk.insert(self.connection, table_of(table), names, values, on_conflict=on_conflict)

    def insert_frame(
        self, table: str, frame: pl.DataFrame, *, on_conflict: Conflict = "raise"
    ) -> int:
        """Insert a frame whose columns are columns of the table; return how many rows went in.

        ``replace`` updates the row that has the same primary key and counts it too.
        """
        return bulk.insert_frame(self.connection, table_of(table), frame, on_conflict=on_conflict)

    def update(
        self, table: str, values: Mapping[str, object], *, where: Mapping[str, object]
    ) -> int:
        """Set columns of the rows that equal ``where``; return how many there were."""
        target = table_of(table)
        statement = (
            sa.update(target)
            .where(*(target.c[name] == to_sql(value) for name, value in where.items()))
            .values({name: to_sql(value) for name, value in values.items()})
        )
        return self._run(statement, None).rowcount

    def get(self, table: str, **where: object) -> Row:
        """Return the one row that equals ``where``.

        Raises
        ------
        NotFoundError
            There is none.
        """
        target = table_of(table)
        conditions = [target.c[name] == to_sql(value) for name, value in where.items()]
        row = self.first(sa.select(target).where(*conditions))
        if row is None:
            named = ", ".join(f"{name} {value}" for name, value in where.items())
            message = f"there is no row in {table} with {named}"
            raise NotFoundError(message, table=table, **where)
        return row

    def _run(
        self, statement: str | sa.Executable, parameters: Mapping[str, object] | None
    ) -> sa.CursorResult[Any]:
        executable = sa.text(statement) if isinstance(statement, str) else statement
        encoded = {name: to_sql(value) for name, value in (parameters or {}).items()}
        result = self.connection.execute(executable, encoded)
        assert isinstance(result, sa.CursorResult)
        return result


class Store:
    """A database of Prebill. Safe to share between threads; one per process is enough."""

    def __init__(self, database_url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        self.url = faults.parsed_url(database_url)
        self.engine = _engine(self.url, busy_timeout_ms)
        self._is_known = False

    @classmethod
    def open(cls, database_url: str) -> Self:
        """Open a database that must exist and have the tables of this program's revision."""
        store = cls(database_url)
        try:
            store.check()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def is_sqlite(self) -> bool:
        """Whether it is one file, with one writer at a time."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """Open a transaction that commits at the end of the block, or leaves nothing behind.

        Raises
        ------
        StorageError
            The database is absent, locked, full or broken.
        """
        self._must_exist()
        with faults.explained(self.url), self.engine.connect() as connection:
            writing = connection.execution_options(prebill_writes=True)
            with writing.begin():
                yield Tx(writing)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """Open a read-only view of one moment; writing in it fails."""
        self._must_exist()
        with faults.explained(self.url), self.engine.connect() as connection:
            reading = connection.execution_options(**self._reading_options())
            with reading.begin() as transaction:
                yield Tx(reading)
                transaction.rollback()

    def _reading_options(self) -> dict[str, Any]:
        if self.is_sqlite:
            return {"prebill_reads": True}
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def create_all(self) -> None:
        """Create every table in an empty database, as the newest migration would leave it."""
        self.create_place()
        with faults.explained(self.url), self.engine.begin() as connection:
            metadata.create_all(connection)
            _revision.create(connection, checkfirst=True)
            if connection.scalar(sa.select(_revision.c.version_num)) is None:
                connection.execute(_revision.insert().values(version_num=SCHEMA_REVISION))

    def create_place(self) -> None:
        """Make the folder and file of an SQLite database; PostgreSQL databases exist already."""
        if self.url.database and self.is_sqlite:
            path = Path(self.url.database)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            except OSError as error:
                message = f"the database {path} can't be made: {error.strerror}"
                raise StorageError(message, path=str(path)) from error

    def revision(self) -> str | None:
        """Return the revision of the tables in the database; None: there are none yet."""
        self._must_exist()
        with faults.explained(self.url), self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            found: str | None = connection.scalar(sa.select(_revision.c.version_num))
            return found

    def check(self) -> None:
        """Refuse a database that is absent, empty, or of an older or newer revision.

        Raises
        ------
        StorageError
            The message says what to do.
        """
        faults.require_revision(self.revision(), SCHEMA_REVISION, self.url)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _must_exist(self) -> None:
        """SQLite would make an empty file of a mistyped path: say that it is absent instead."""
        if self._is_known or not self.is_sqlite:
            return
        path = Path(self.url.database or "")
        if not path.is_file():
            message = f"there is no database {path}: run `prebill init`, or mend its URL"
            raise StorageError(message, path=str(path))
        self._is_known = True


def _engine(url: sa.URL, busy_timeout_ms: int) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        # Connections of a file are cheap: as many as the server has threads.
        options = {"timeout": busy_timeout_ms / 1000}
        engine = sa.create_engine(url, connect_args=options, pool_size=8, max_overflow=40)
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    # A lock that is never given (somebody's open session) becomes an error, not a standstill.
    waiting = {"options": f"-c lock_timeout={LOCK_TIMEOUT_MS}"}
    return sa.create_engine(url, pool_pre_ping=True, connect_args=waiting, max_overflow=15)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """WAL lets readers and the writer work side by side.

    synchronous=FULL: each commit waits for the disk, so that an acknowledged decision survives a
    power cut (NORMAL may lose the last commits in WAL mode). Group commit makes it affordable.
    """
    connection.isolation_level = None  # the driver begins nothing by itself: see _begin_sqlite
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-65536")
    # Checkpoints every 64 MiB instead of 4: index pages that every transaction touches are
    # written back once, not after each of them.
    connection.execute("PRAGMA wal_autocheckpoint=16384")


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take the write lock at the start: a transaction that reads first could not upgrade later.

    DBOS opens its steps with an isolation level; such a transaction writes too.
    """
    options = connection.get_execution_options()
    writes = options.get("prebill_writes") or options.get("isolation_level") == "SERIALIZABLE"
    connection.exec_driver_sql(f"PRAGMA query_only={int(bool(options.get('prebill_reads')))}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
