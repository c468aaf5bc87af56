"""What a training run reads: invoices with their outcomes, from an installation or a folder.

Nothing is cut here: every fit gets a cut-off and reads nothing dated that day or later.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from prebill.core.errors import InputError
from prebill.core.schemas import Frame
from prebill.core.schemas.inbound import (
    CREDIT_NOTES,
    INVOICE_LINES,
    INVOICES,
    PAYMENTS,
)
from prebill.core.scoring.features.payment import receivables
from prebill.core.scoring.frames import Books, ScoringInputs
from training.labelled import LABELLED, read_labelled

_END = date(9999, 1, 1)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Invoices, lines, payments and credits as known on ``as_of_on``; ``source`` in words.

    ``labelled``: what was judged here and has a mature label (``LABELLED``), none in a folder;
    ``versions``: where it was read, exactly: table → lake version and batches, or file → SHA-256.
    """

    source: str
    invoices: pl.DataFrame
    lines: pl.DataFrame
    payments: pl.DataFrame
    credit_notes: pl.DataFrame
    versions: Mapping[str, str] = field(default_factory=dict)
    labelled: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LABELLED))

    @property
    def as_of_on(self) -> date:
        """The day after the latest fact: what is unpaid then is open."""
        latest = [
            self.invoices["issued_on"].max(),
            self.payments["paid_on"].max(),
            self.credit_notes["issued_on"].max(),
        ]
        known = [day for day in latest if isinstance(day, date)]
        return max(known) + timedelta(days=1)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all rows, whatever their order: equal data, equal fingerprint."""
        digest = hashlib.sha256()
        for frame in (self.invoices, self.lines, self.payments, self.credit_notes):
            digest.update(f"{frame.height} {frame.hash_rows(seed=7).sum()}".encode())
        return digest.hexdigest()

    def receivables(self) -> pl.DataFrame:
        """Invoices with the day on which each was settled."""
        return receivables(self.invoices, self.payments, self.credit_notes)

    def before(self, day: date) -> "Dataset":
        """The same without anything dated that day or later."""
        invoices = self.invoices.filter(pl.col("issued_on") < day)
        return replace(
            self,
            invoices=invoices,
            lines=self._lines_of(invoices),
            payments=self.payments.filter(pl.col("paid_on") < day),
            credit_notes=self.credit_notes.filter(pl.col("issued_on") < day),
            labelled=self.labelled.filter(pl.col("day_on") < day, pl.col("matures_on") <= day),
        )

    def judged(self, start_on: date, end_on: date) -> ScoringInputs:
        """Scoring inputs in which the invoices of ``[start_on, end_on)`` are the drafts."""
        is_draft = pl.col("issued_on").is_between(start_on, end_on, closed="left")
        drafts, history = self.invoices.filter(is_draft), self.invoices.filter(~is_draft)
        return ScoringInputs(
            history=Books(history, self._lines_of(history)),
            drafts=Books(drafts, self._lines_of(drafts)),
            payments=self.payments,
            credit_notes=self.credit_notes,
            as_of_on=start_on,
        )

    def _lines_of(self, invoices: pl.DataFrame) -> pl.DataFrame:
        return self.lines.join(invoices.select("invoice_id"), on="invoice_id", how="semi")


def from_folder(folder: Path) -> Dataset:
    """Read a folder of canonical files.

    Raises
    ------
    InputError
        It holds no readable invoice.
    """
    from prebill.workflows.gate_files import load

    frames = {
        frame.name: load(folder, frame, needed=frame is INVOICES).frame
        for frame in (INVOICES, INVOICE_LINES, PAYMENTS, CREDIT_NOTES)
    }
    files = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
    return _checked(Dataset(source=folder.name, versions=files, **_renamed(frames)))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"


def from_home(home: Path | None) -> Dataset:
    """Read an installation: imported invoices from the lake and its own issued documents.

    Raises
    ------
    InputError
        It holds no invoice.
    """
    from prebill.bootstrap import Installation
    from prebill.settings import Settings
    from prebill.store.documents import own_history
    from prebill.store.lake_index import named_batches
    from prebill.workflows.shard import gate_lines

    opened = Installation.open(Settings.load(home))
    try:
        with opened.store.read() as tx:
            batches = {
                frame.name: named_batches(tx, frame.name)
                for frame in (INVOICES, INVOICE_LINES, PAYMENTS, CREDIT_NOTES)
            }
            own = own_history(tx, None, issued_before=_END, since_on=date.min)
        opened.lake.require(batches)

        def scan(frame: Frame) -> pl.DataFrame:
            rows = opened.lake.scan(frame.name, batches[frame.name])
            with opened.lake.reading():
                return frame.conform(rows.select(frame.names).collect())

        frames = {
            "invoices": pl.concat([scan(INVOICES), own.invoices]),
            "invoice_lines": pl.concat(
                [scan(INVOICE_LINES), INVOICE_LINES.conform(gate_lines(own.lines))]
            ),
            "payments": scan(PAYMENTS),
            "credit_notes": scan(CREDIT_NOTES),
        }
        labelled = read_labelled(opened, datetime.now(UTC).date())
        versions = {
            name: f"lake version {opened.lake.version(name)}, batches: {len(named)}"
            for name, named in batches.items()
        }
    finally:
        opened.close()
    versions["own documents"] = f"{own.invoices.height} rows"
    own_rows = _renamed(frames)
    return _checked(
        Dataset(source="installation", versions=versions, labelled=labelled, **own_rows)
    )


def _renamed(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    frames["lines"] = frames.pop("invoice_lines")
    return frames


def _checked(dataset: Dataset) -> Dataset:
    if dataset.invoices.is_empty():
        message = (
            "there is no invoice to learn from: `prebill import DIR` past invoices and payments, "
            "or give a folder with --data DIR"
        )
        raise InputError(message, source=dataset.source)
    return dataset
