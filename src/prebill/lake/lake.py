"""The lake: Delta tables of facts on disk. A batch counts only when SQL names it.

Writing goes in two steps. First :meth:`Lake.append` under an id made from business keys (running it
again adds nothing), then the caller records the returned batch in ``lake_batches``, in the
transaction of the state it belongs to. What was written and never named is an orphan: no reader
sees it and :meth:`Lake.sweep` removes it.
"""

import fcntl
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from prebill.core.errors import ConflictError, StorageError
from prebill.lake.files import (
    READING_ERRORS,
    LakeFile,
    checksum,
    damaged_file,
    damaged_log,
    explained,
    files_of,
    is_of_delta,
)
from prebill.lake.tables import BATCH, COMPLETES, MONTH, TABLES, LakeTable


@dataclass(frozen=True, slots=True)
class LakeBatch:
    """What one append left behind; `store.lake_index.record_batch` keeps it."""

    table: str
    batch_id: str
    rows: int
    #: SHA-256 over the digests of its files: tells an altered or lost file.
    checksum: str
    #: Delta version that has it.
    version: int


class Lake:
    """Facts on disk. One writer a table at a time (a file lock), any number of readers."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def append(self, table: str, frame: pl.DataFrame, batch_id: str) -> LakeBatch:
        """Add a batch; a batch of this id that is already there is returned as it is.

        Parameters
        ----------
        table : str
            One of ``TABLES``.
        frame : pl.DataFrame
            At least the table's columns. Further ones are kept.
        batch_id : str
            Made from business keys: the same content always comes under the same id.

        Raises
        ------
        ConflictError
            The id is taken by a batch with another number of rows.
        StorageError
            The disk is full, or the lake can't be written.
        """
        target = TABLES[table]
        prepared = _prepared(target, frame, batch_id)
        with explained(self.folder), self._writing(table):
            delta = self._open(table)
            present = self._files(table, delta, batch_id)
            if not present and not prepared.is_empty():
                self._write(target, prepared)
                delta = self._open(table)
                present = self._files(table, delta, batch_id)
            rows = sum(file.rows for file in present)
            if rows != prepared.height:
                message = (
                    f"batch {batch_id} of {table} has {rows} rows in the lake, not "
                    f"{prepared.height}: its id was used for other content"
                )
                raise ConflictError(message, table=table, batch_id=batch_id)
            version = delta.version() if delta else -1
            return LakeBatch(table, batch_id, rows, checksum(present), version)

    def scan(self, table: str, batch_ids: Collection[str]) -> pl.LazyFrame:
        """Read the rows of the named batches, and of no others.

        Columns that one of them completes are filled: a reader that names an older set of batches
        still sees them empty.
        """
        target = TABLES[table]
        with explained(self.folder):
            delta = self._open(table) if batch_ids else None
            if delta is None:
                return pl.LazyFrame(schema=target.schema)
            completing = [one for one in batch_ids if one.startswith(COMPLETES)]
            first = sorted({*batch_ids} - {*completing})
            helpers = [name for name in target.partitions if name not in target.schema]
            every = pl.scan_delta(delta)
            rows = every.filter(pl.col(BATCH).is_in(first)).drop(helpers)
            if not completing:
                return rows
            later = every.filter(pl.col(BATCH).is_in(sorted(completing))).drop(helpers)
            return _completed(rows, later, list(target.key))

    def scan_between(
        self, table: str, batch_ids: Collection[str], start_at: datetime, end_at: datetime
    ) -> pl.LazyFrame:
        """Read the rows of ``[start_at, end_at)``, opening only the months concerned."""
        target = TABLES[table]
        if target.month_of is None:
            message = f"{table} is not partitioned by time"
            raise ValueError(message)
        with explained(self.folder):
            delta = self._open(table) if batch_ids else None
            if delta is None:
                return pl.LazyFrame(schema=target.schema)
            wanted = (
                pl.col(BATCH).is_in(sorted(batch_ids)),
                pl.col(MONTH).is_in(_months(start_at, end_at)),
                pl.col(target.month_of).is_between(start_at, end_at, closed="left"),
            )
            return pl.scan_delta(delta).filter(*wanted).drop(target.partitions)

    def version(self, table: str) -> int:
        """Return the Delta version of a table; -1 where nothing was ever written."""
        with explained(self.folder):
            delta = self._open(table)
            return delta.version() if delta else -1

    def versions(self) -> dict[str, int]:
        """Return the version of every table; a run keeps them to be replayed."""
        return {table: self.version(table) for table in TABLES}

    def batch_ids(self, table: str) -> set[str]:
        """Return every batch that lies in a table, named or not."""
        with explained(self.folder):
            return {file.batch_id for file in self._files(table, self._open(table))}

    def require(self, batches: Mapping[str, Collection[str]]) -> None:
        """Refuse to go on with half the facts: an absent folder must not look like no usage.

        Looks at the names and sizes of the files; :meth:`require_intact` reads them.

        Parameters
        ----------
        batches : Mapping
            Table → ids of batches that have rows.

        Raises
        ------
        StorageError
            The folder, a batch or a file of a batch is not there, or a file was cut off.
        """
        for table, wanted in batches.items():
            if wanted:
                with explained(self.folder):
                    self._require_files(table, wanted, self._files(table, self._open(table)))

    def _require_files(self, table: str, wanted: Collection[str], every: list[LakeFile]) -> None:
        named = {*wanted}
        files = [one for one in every if one.batch_id in named]
        absent = {one.batch_id for one in files if not one.is_there}
        lost = sorted((named - {one.batch_id for one in files}) | absent)
        if lost:
            message = (
                f"the lake {self.folder} lacks {len(lost)} of {len(wanted)} batches of {table} "
                f"that the database names ({lost[0]} first): mount or restore the folder and "
                "repeat the command; nothing was changed"
            )
            raise StorageError(message, folder=str(self.folder), table=table, lost=lost)
        for one in files:
            if damage := one.damage():
                raise damaged_file(table, one, damage)

    def require_intact(self, batches: Iterable[LakeBatch]) -> None:
        """Refuse to go on with a file that is not, byte for byte, what was written.

        Raises
        ------
        StorageError
            It names the table and the first such file.
        """
        for damage in self.damages(batches).values():
            raise damage

    def damages(self, batches: Iterable[LakeBatch]) -> dict[LakeBatch, StorageError]:
        """Read the files of batches; say of each that is not as it was written what is wrong."""
        by_table: dict[str, list[LakeBatch]] = {}
        for batch in batches:
            by_table.setdefault(batch.table, []).append(batch)
        found: dict[LakeBatch, StorageError] = {}
        for table, own in by_table.items():
            files: dict[str, list[LakeFile]] = {}
            try:
                with explained(self.folder):
                    for file in self._files(table, self._open(table)):
                        files.setdefault(file.batch_id, []).append(file)
            except StorageError as error:  # the log: none of its batches can be found
                found |= dict.fromkeys(own, error)
                continue
            for batch in own:
                if damage := self._damage(batch, files.get(batch.batch_id, [])):
                    found[batch] = damage
        return found

    def _damage(self, batch: LakeBatch, files: list[LakeFile]) -> StorageError | None:
        try:
            if batch.rows:
                self._require_files(batch.table, [batch.batch_id], files)
            if checksum(files) == batch.checksum:
                return None
        except StorageError as error:
            return error
        except OSError as error:
            return damaged_file(batch.table, files[0], f"can't be read ({error.strerror})")
        for one in files:
            if damage := one.unreadable():
                return damaged_file(batch.table, one, damage)
        return damaged_file(batch.table, files[0], "is altered: it is not what was written")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Collect frames of :meth:`scan` inside: a file that can't be read is named.

        Raises
        ------
        StorageError
            A file of the lake is lost or damaged. Any other failure passes unchanged.
        """
        try:
            yield
        except READING_ERRORS as error:
            for table in TABLES:
                for file in self._files(table, self._open(table)):
                    if damage := file.unreadable():
                        raise damaged_file(table, file, damage) from error
            raise

    def sweep(
        self, table: str, known_ids: Collection[str], *, written_before: datetime | None = None
    ) -> list[str]:
        """Delete the batches that SQL doesn't name; return their ids.

        ``written_before`` spares what is younger: a run may be between its append and its commit.
        Without it, call this only while nothing writes.
        """
        with explained(self.folder), self._writing(table):
            delta = self._open(table)
            if delta is None:
                return []
            files = self._files(table, delta)
            young = {
                file.batch_id
                for file in files
                if written_before is not None and file.written_at >= written_before
            }
            orphans = sorted({file.batch_id for file in files} - young - {*known_ids})
            if orphans:
                listed = ", ".join("'" + orphan.replace("'", "''") + "'" for orphan in orphans)
                delta.delete(f"{BATCH} IN ({listed})")
            return orphans

    def _write(self, target: LakeTable, frame: pl.DataFrame) -> None:
        from deltalake import write_deltalake

        write_deltalake(
            str(self.folder / target.name),
            frame,
            mode="append",
            partition_by=target.partitions,
            schema_mode="merge",
        )

    def _open(self, table: str) -> Any:
        """Open the newest version, or return None where the table was never written."""
        from deltalake import DeltaTable

        place = self.folder / table
        if not (place / "_delta_log").is_dir():
            return None
        try:
            return DeltaTable(str(place))
        except Exception as error:
            if is_of_delta(error):
                raise damaged_log(table, place, error) from error
            raise

    def _files(self, table: str, delta: Any, batch_id: str | None = None) -> list[LakeFile]:
        """The live files of an opened table, or of one batch; none where it was never written."""
        return [] if delta is None else files_of(delta, self.folder / table, batch_id)

    @contextmanager
    def _writing(self, table: str) -> Iterator[None]:
        """One process at a time looks for a batch and adds it: two can't both find it absent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{table}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _prepared(target: LakeTable, frame: pl.DataFrame, batch_id: str) -> pl.DataFrame:
    """Put the table's columns first, check their types and add the partition columns."""
    wrong = {
        name: str(frame.schema.get(name, "absent"))
        for name, dtype in target.schema.items()
        if frame.schema.get(name) not in (dtype, pl.Null())
    }
    if wrong:
        message = f"a batch for the lake table {target.name} has wrong columns: {wrong}"
        raise StorageError(message, table=target.name, columns=wrong)
    further = [name for name in frame.columns if name not in target.schema]
    declared = [pl.col(name).cast(dtype) for name, dtype in target.schema.items()]
    added = [pl.lit(batch_id).alias(BATCH)]
    if target.month_of:
        added.append(pl.col(target.month_of).dt.strftime("%Y-%m").alias(MONTH))
    return frame.select(*declared, *further).with_columns(added)


def _completed(rows: pl.LazyFrame, later: pl.LazyFrame, key: list[str]) -> pl.LazyFrame:
    """Fill the empty columns of rows; what fills them never contradicts what was there."""
    names = rows.collect_schema().names()
    others = [name for name in names if name not in key]
    filling = later.group_by(key).agg(pl.col(name).drop_nulls().first() for name in others)
    return rows.join(filling, on=key, how="left", suffix=COMPLETES).select(
        pl.coalesce(name, name + COMPLETES) if name in others else pl.col(name) for name in names
    )


def _months(start_at: datetime, end_at: datetime) -> list[str]:
    days = pl.datetime_range(start_at, end_at - timedelta(microseconds=1), "1d", eager=True)
    last = f"{end_at - timedelta(microseconds=1):%Y-%m}"
    return sorted({*days.dt.strftime("%Y-%m").to_list(), last})
