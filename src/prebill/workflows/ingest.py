"""Import a folder of canonical files: good rows go in once, bad rows to the quarantine.

Files come in load order, so that a reference finds what it refers to; accounting periods come
last, so that a close doesn't refuse the history that arrives with it. A file that can't be read
as a whole is an error of its own; the other files still go in. Running it again changes nothing.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from prebill import audit
from prebill.connectors.files.reader import SUFFIXES, UNREADABLE, Block, read_blocks, row_json
from prebill.contracts import Catalog, Compiled, DataContract
from prebill.core.errors import InputError
from prebill.lake import Lake
from prebill.store import ingest as sql
from prebill.store.engine import Store, Tx
from prebill.store.lake_index import named_batches
from prebill.store.outcomes import save_labels
from prebill.store.reference import LAKE_FRAMES
from prebill.workflows.ingest_checks import Judged, World, judge
from prebill.workflows.ingest_entry import (
    Occurrences,
    alone,
    append_facts,
    now,
    quarantine_rows,
    record_facts,
    resolved_by,
)
from prebill.workflows.labelling import labels_of_facts

#: Loaded after everything else; nothing refers to them.
_LAST: Final = "accounting_periods"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file. ``good`` are new or changed rows, ``known`` unchanged ones."""

    file: str
    contract: str | None
    rows: int = 0
    good: int = 0
    known: int = 0
    rejected: int = 0
    resolved: int = 0
    #: Of the good ones: rows that fill empty columns of a known fact.
    completed: int = 0
    #: Of the rejected ones: rows that somebody dismissed before.
    dismissed: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a folder."""

    files: tuple[FileReport, ...]

    @property
    def errors(self) -> list[FileReport]:
        """Files that did not go in, or not wholly."""
        return [one for one in self.files if one.error]

    @property
    def rejected(self) -> int:
        """Rows that wait in quarantine because of this import."""
        return sum(one.rejected - one.dismissed for one in self.files)

    @property
    def is_clean(self) -> bool:
        """Whether every row of every file is in."""
        return not self.errors and not self.rejected


@dataclass(frozen=True, slots=True)
class Entry:
    """Who imports which file: what every row and audit entry carries."""

    import_id: str
    file: str
    digest: str
    actor: str
    occurrences: Occurrences


def import_folder(
    world: World, folder: Path, *, actor: str, progress: Progress | None = None
) -> ImportReport:
    """Import every canonical file of a folder.

    Parameters
    ----------
    world : World
        Store, lake, contracts and clock; see :func:`open_world`.
    folder : Path
        Files named after inbound contracts, ``.csv``, ``.parquet``, ``.ndjson`` or ``.jsonl``.
    actor : str
        Who does it, for the audit.
    progress : callable, optional
        Called with file name, bytes or rows done so far and rows rejected so far.

    Raises
    ------
    InputError
        The folder does not exist or has no canonical file.
    StorageError
        Database or lake can't be used; what was committed stays, run the import again.
    """
    if not folder.is_dir():
        message = f"there is no folder {folder}"
        raise InputError(message, folder=str(folder))
    given = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not given:
        message = f"{folder} has no canonical files: see `prebill template DIR` for their names"
        raise InputError(message, folder=str(folder))
    order = [contract.name for contract in world.catalog.inbound()]
    order.sort(key=lambda name: name == _LAST)
    wrong = [path for path in given if path.stem not in order]
    twice = [path for path in given if path.stem in {p.stem for p in given if p < path}]
    # A pipe or a device: reading it may never end.
    odd = [path for path in given if path.exists() and not (path.is_file() or path.is_dir())]
    ready = sorted(
        (path for path in given if path not in {*wrong, *twice, *odd}),
        key=lambda path: order.index(path.stem),
    )
    reports = [
        *(_refused(path, f"unknown file name; known are {', '.join(order)}") for path in wrong),
        *(_refused(path, f"{path.stem} is there in two formats: keep one") for path in twice),
        *(_refused(path, "is no ordinary file: copy its content into one") for path in odd),
    ]
    with alone(world.lake):
        reports += [_import_file(world, path, actor, progress) for path in ready]
    return ImportReport(tuple(reports))


def open_world(catalog: Catalog, store: Store, lake: Lake, as_of_at: datetime) -> World:
    """Take the clock and what is closed *now*: a close that is imported later does not count."""
    with store.read() as tx:
        closed = sql.closed_periods(tx)
        batches = {table: named_batches(tx, table) for table in LAKE_FRAMES}
    lake.require(batches)
    return World(catalog, store, lake, as_of_at, closed)


def _refused(path: Path, why: str) -> FileReport:
    return FileReport(path.name, None, error=f"{path.name}: {why}")


def _import_file(world: World, path: Path, actor: str, progress: Progress | None) -> FileReport:
    contract = world.catalog[path.stem]
    report = FileReport(path.name, contract.name)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return replace(report, error=f"{path.name} can't be read: {error.strerror}")
    with world.store.read() as tx:
        import_id = sql.next_import_id(tx, contract.name, digest)
    entry = Entry(import_id, path.name, digest, actor, Occurrences())
    try:
        for block in _blocks(contract, path):
            report = enter_block(world, contract, block, entry, report)
            if progress is not None:
                progress(path.name, report.rows, report.rejected)
    except InputError as error:
        # What came before the broken place is in; the same rows are known the next time.
        report = replace(report, error=str(error))
        with world.store.transaction() as tx:
            detail: dict[str, object] = {"file": path.name, "error": str(error)}
            audit.record(tx, actor, "import.failed", import_id, detail)
    return report


def _blocks(contract: DataContract, path: Path) -> Iterator[Block]:
    """Read facts block by block; reference files as a whole, for rules that span their rows."""
    blocks = read_blocks(path, contract.columns)
    if contract.name in LAKE_FRAMES:
        yield from blocks
        return
    every = list(blocks)
    yield Block(
        pl.concat([block.frame for block in every], how="diagonal_relaxed"),
        pl.concat([block.lines for block in every]),
        pl.concat([block.unreadable for block in every]),
    )


def enter_block(
    world: World, contract: DataContract, block: Block, entry: Entry, report: FileReport
) -> FileReport:
    """Check and enter one block; everything about it commits in one transaction."""
    compiled: Compiled = world.catalog.compiled(contract.name)
    judged = judge(world, compiled, block.frame)
    bad = _bad_rows(contract, block, judged, entry)
    entered = judged.entering.drop("row")
    report = replace(
        report,
        rows=report.rows + block.frame.height + block.unreadable.height,
        good=report.good + entered.height + judged.completing.height,
        completed=report.completed + judged.completing.height,
        known=report.known + judged.known.height,
        rejected=report.rejected + bad.height,
    )
    resolved = resolved_by(world.store, contract, judged.good, bad)
    batches = append_facts(world.lake, contract, judged, entry.digest)
    labels = labels_of_facts(world, contract, judged, batches)
    with world.store.transaction() as tx:
        record_facts(tx, contract, judged, batches, actor=entry.actor)
        save_labels(tx, labels, entry.actor)
        if contract.name not in LAKE_FRAMES and not entered.is_empty():
            sql.upsert_reference(tx, contract.name, entered, entry.import_id)
        sql.add_quarantine(tx, bad)
        dismissed = report.dismissed + sql.dismissed_among(tx, bad)
        sql.set_status(tx, resolved, "resolved", now())
        report = replace(report, resolved=report.resolved + len(resolved), dismissed=dismissed)
        _record(tx, entry, report)
    if not entered.is_empty():
        world.forget(contract.name)
    return report


def _bad_rows(contract: DataContract, block: Block, judged: Judged, entry: Entry) -> pl.DataFrame:
    """Make one quarantine row a bad row, with the first broken rule and the row as it came."""
    first = judged.rejected.unique("row", keep="first", maintain_order=True)
    places = first["row"]
    broken = first.select(
        block.lines.gather(places).alias("line"),
        pl.col("rule"),
        pl.col("column").alias("column_name"),
        pl.col("value"),
        row_json(block.frame[places]).alias("row_json"),
    )
    unreadable = block.unreadable.select(*UNREADABLE).with_columns(
        pl.lit(None, dtype=pl.String()).alias("column_name"), pl.col("value").str.slice(0, 500)
    )
    return quarantine_rows(
        pl.concat([broken, unreadable.select(broken.columns)]),
        contract=contract.name,
        file=entry.file,
        import_id=entry.import_id,
        occurrences=entry.occurrences,
    )


def _record(tx: Tx, entry: Entry, report: FileReport) -> None:
    counts: dict[str, object] = {
        "rows": report.rows,
        "good": report.good,
        "known": report.known,
        "rejected": report.rejected,
        "resolved": report.resolved,
    }
    record = sql.ImportRecord(
        import_id=entry.import_id,
        file=entry.file,
        contract=report.contract or "",
        digest=entry.digest,
        rows=report.rows,
        good=report.good,
        known=report.known,
        rejected=report.rejected,
    )
    sql.record_import(tx, record, entered_at=now(), entered_by=entry.actor)
    detail: dict[str, object] = {"file": entry.file, "digest": entry.digest, **counts}
    audit.record(tx, entry.actor, "import.rows", entry.import_id, detail)
