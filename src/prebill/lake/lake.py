"""The lake: Delta tables of facts on disk. A batch counts only when SQL names it.

Writing goes in two steps. First :meth:`Lake.append` under an id made from business keys (running it
again adds nothing), then the caller records the returned batch in ``lake_batches``, in the
transaction of the state it belongs to. What was written and never named is an orphan: no reader
sees it and :meth:`Lake.sweep` removes it.
"""

import errno
import fcntl
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import polars as pl

from prebill.core.errors import ConflictError, StorageError
from prebill.lake.tables import BATCH, MONTH, TABLES, LakeTable


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
        with _explained(self.folder), self._writing(table):
            delta = self._open(table)
            present = _files(delta, batch_id) if delta else []
            if not present and not prepared.is_empty():
                self._write(target, prepared)
                delta = self._open(table)
                present = _files(delta, batch_id)
            rows = sum(file["num_records"] for file in present)
            if rows != prepared.height:
                message = (
                    f"batch {batch_id} of {table} has {rows} rows in the lake, not "
                    f"{prepared.height}: its id was used for other content"
                )
                raise ConflictError(message, table=table, batch_id=batch_id)
            version = delta.version() if delta else -1
            checksum = self._checksum(table, present)
            return LakeBatch(table, batch_id, rows, checksum, version)

    def scan(self, table: str, batch_ids: Collection[str]) -> pl.LazyFrame:
        """Read the rows of the named batches, and of no others."""
        target = TABLES[table]
        with _explained(self.folder):
            delta = self._open(table) if batch_ids else None
            if delta is None:
                return pl.LazyFrame(schema=target.schema)
            named = pl.col(BATCH).is_in(sorted(batch_ids))
            helpers = [name for name in target.partitions if name not in target.schema]
            return pl.scan_delta(delta).filter(named).drop(helpers)

    def scan_between(
        self, table: str, batch_ids: Collection[str], start_at: datetime, end_at: datetime
    ) -> pl.LazyFrame:
        """Read the rows of ``[start_at, end_at)``, opening only the months concerned."""
        target = TABLES[table]
        if target.month_of is None:
            message = f"{table} is not partitioned by time"
            raise ValueError(message)
        with _explained(self.folder):
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
        with _explained(self.folder):
            delta = self._open(table)
            return delta.version() if delta else -1

    def versions(self) -> dict[str, int]:
        """Return the version of every table; a run keeps them to be replayed."""
        return {table: self.version(table) for table in TABLES}

    def batch_ids(self, table: str) -> set[str]:
        """Return every batch that lies in a table, named or not."""
        with _explained(self.folder):
            delta = self._open(table)
            return {file["partition"][BATCH] for file in _files(delta)} if delta else set()

    def require(self, batches: Mapping[str, Collection[str]]) -> None:
        """Refuse to go on with half the facts: an absent folder must not look like no usage.

        Parameters
        ----------
        batches : Mapping
            Table → ids of batches that have rows.

        Raises
        ------
        StorageError
            The folder, a batch or a file of a batch is not there.
        """
        for table, wanted in batches.items():
            lost = sorted({*wanted} - self._readable(table)) if wanted else []
            if lost:
                message = (
                    f"the lake {self.folder} lacks {len(lost)} of {len(wanted)} batches of {table} "
                    f"that the database names ({lost[0]} first): mount or restore the folder and "
                    "repeat the command; nothing was changed"
                )
                raise StorageError(message, folder=str(self.folder), table=table, lost=lost)

    def _readable(self, table: str) -> set[str]:
        """Batches whose files are all there."""
        with _explained(self.folder):
            delta = self._open(table)
            files = _files(delta) if delta else []
        place = self.folder / table
        lost = {f["partition"][BATCH] for f in files if not _local(place / f["path"]).exists()}
        return {file["partition"][BATCH] for file in files} - lost

    def damaged(self, batches: Iterable[LakeBatch]) -> list[LakeBatch]:
        """Return the batches whose files are absent or differ from what was written."""
        with _explained(self.folder):
            return [batch for batch in batches if not self._is_intact(batch)]

    def sweep(
        self, table: str, known_ids: Collection[str], *, written_before: datetime | None = None
    ) -> list[str]:
        """Delete the batches that SQL doesn't name; return their ids.

        ``written_before`` spares what is younger: a run may be between its append and its commit.
        Without it, call this only while nothing writes.
        """
        with _explained(self.folder), self._writing(table):
            delta = self._open(table)
            if delta is None:
                return []
            files = _files(delta)
            young = {
                file["partition"][BATCH]
                for file in files
                if written_before is not None and file["written_at"] >= written_before
            }
            orphans = sorted({file["partition"][BATCH] for file in files} - young - {*known_ids})
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
        return DeltaTable(str(place)) if (place / "_delta_log").is_dir() else None

    @contextmanager
    def _writing(self, table: str) -> Iterator[None]:
        """One process at a time looks for a batch and adds it: two can't both find it absent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{table}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _checksum(self, table: str, files: list[dict[str, Any]]) -> str:
        digests = [_file_digest(self.folder / table / file["path"]) for file in files]
        return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()

    def _is_intact(self, batch: LakeBatch) -> bool:
        delta = self._open(batch.table)
        files = _files(delta, batch.batch_id) if delta else []
        if sum(file["num_records"] for file in files) != batch.rows:
            return False
        try:
            return self._checksum(batch.table, files) == batch.checksum
        except FileNotFoundError:
            return False


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


def _files(delta: Any, batch_id: str | None = None) -> list[dict[str, Any]]:
    """The live files of a table or batch: path, rows, partition values, when written (UTC)."""
    actions = pl.DataFrame(delta.get_add_actions())
    partition = "partition" if "partition" in actions.columns else "partition_values"
    files = actions.select(
        pl.col("path"),
        pl.col("num_records"),
        pl.col(partition).alias("partition"),
        pl.col("modification_time").cast(pl.Datetime("ms", "UTC")).alias("written_at"),
    )
    if batch_id is not None:
        files = files.filter(pl.col("partition").struct.field(BATCH) == batch_id)
    return files.to_dicts()


def _file_digest(path: Path) -> str:
    with _local(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local(path: Path) -> Path:
    """The log writes paths as URLs do; on disk the escape itself may be part of the name."""
    return path if path.exists() else Path(unquote(urlparse(str(path)).path))


def _months(start_at: datetime, end_at: datetime) -> list[str]:
    days = pl.datetime_range(start_at, end_at - timedelta(microseconds=1), "1d", eager=True)
    last = f"{end_at - timedelta(microseconds=1):%Y-%m}"
    return sorted({*days.dt.strftime("%Y-%m").to_list(), last})


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn a failure of disk or format into a sentence that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno == errno.ENOSPC or "no space left" in str(error).lower()
        advice = "the disk is full: free some space" if full else f"check the folder ({error})"
        message = f"the lake {folder} can't be used: {advice}; nothing was changed"
        raise StorageError(message, folder=str(folder)) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("deltalake", "_internal"):
            raise
        advice = (
            "the disk is full: free some space"
            if "no space left" in str(error).lower()
            else str(error)
        )
        message = f"the lake {folder} can't be used: {advice}; nothing was changed"
        raise StorageError(message, folder=str(folder)) from error
