"""Files of a lake table: what the log says of them, whether they are whole, and what to do if not.

A lost or damaged file stops whoever needs it; nothing is read around it.
"""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

import polars as pl

from prebill.core.errors import StorageError
from prebill.lake.tables import BATCH

#: What every sentence about damage ends with.
ADVICE: Final = (
    "restore it from your backup and repeat the command; `prebill doctor` looks at the whole "
    "lake; nothing was changed"
)


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A Parquet file that the log of a table names."""

    batch_id: str
    path: Path
    rows: int
    size_bytes: int
    written_at: datetime

    @property
    def is_there(self) -> bool:
        """Whether there is such a file, whatever is in it."""
        return self.path.is_file()

    def digest(self) -> str:
        """SHA-256 of its content."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def damage(self) -> str | None:
        """Say what is wrong with its size; None where it is as it was written."""
        found = self.path.stat().st_size if self.is_there else None
        if found == self.size_bytes:
            return None
        if found is None:
            return "is absent"
        return f"is damaged: it has {found:,} bytes, not {self.size_bytes:,}"

    def unreadable(self) -> str | None:
        """Read all of it; say why that fails, or None."""
        if damage := self.damage():
            return damage
        try:
            pl.read_parquet(self.path, hive_partitioning=False)
        except READING_ERRORS as error:
            return f"is damaged: {first_line(error)}"
        return None


#: What polars raises where a file can't be read; a panic is no `Exception`.
READING_ERRORS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def files_of(delta: Any, place: Path, batch_id: str | None = None) -> list[LakeFile]:
    """Return the live files of a table, or of one batch of it."""
    actions = pl.DataFrame(delta.get_add_actions())
    partition = "partition" if "partition" in actions.columns else "partition_values"
    files = actions.select(
        pl.col(partition).struct.field(BATCH),
        "path",
        "num_records",
        "size_bytes",
        pl.col("modification_time").cast(pl.Datetime("ms", "UTC")),
    )
    if batch_id is not None:
        files = files.filter(pl.col(BATCH) == batch_id)
    return [
        LakeFile(batch, _local(place / path), rows, size_bytes, written_at)
        for batch, path, rows, size_bytes, written_at in files.iter_rows()
    ]


def checksum(files: list[LakeFile]) -> str:
    """SHA-256 over the digests of the files of a batch."""
    return hashlib.sha256("\n".join(sorted(one.digest() for one in files)).encode()).hexdigest()


def damaged_file(table: str, file: LakeFile, damage: str) -> StorageError:
    """Return the error that names table and file."""
    message = f"the file {file.path} of the lake table {table} {damage}: {ADVICE}"
    return StorageError(message, table=table, file=str(file.path), batch_id=file.batch_id)


def damaged_log(table: str, place: Path, error: BaseException) -> StorageError:
    """Return the error that names the log of a table."""
    message = (
        f"the log {place / '_delta_log'} of the lake table {table} is damaged "
        f"({first_line(error)}): {ADVICE}"
    )
    return StorageError(message, table=table, file=str(place / "_delta_log"))


def first_line(error: BaseException) -> str:
    """The first line of a library's message: what follows are stack traces."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def is_of_delta(error: BaseException) -> bool:
    """Whether the Delta library raised it; some of its classes have no public name."""
    return type(error).__module__.partition(".")[0] in ("deltalake", "_internal")


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn a failure of the disk or of a write into a sentence that says what to do."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and not is_of_delta(error):
            raise
        is_full = getattr(error, "errno", None) == errno.ENOSPC
        is_full = is_full or "no space left" in str(error).lower()
        advice = "the disk is full: free some space"
        if not is_full:
            advice = f"check the folder ({first_line(error)})"
        message = f"the lake {folder} can't be used: {advice}; nothing was changed"
        raise StorageError(message, folder=str(folder)) from error


def _local(path: Path) -> Path:
    """The log writes paths as URLs do; on disk the escape itself may be part of the name."""
    return path if path.exists() else Path(unquote(urlparse(str(path)).path))
