"""``python -m training backtest``: past months of a folder or an installation, and the table."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from prebill.bootstrap import Installation
from prebill.core.calendar import Period
from prebill.core.errors import InputError
from prebill.core.schemas.inbound import CUSTOMERS, INVOICE_LINES, INVOICES, USAGE_EVENTS
from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.backtest import Backtest, Past, latest_months
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.usage import usage_days
from prebill.settings import Settings
from prebill.store.documents import judged_wrong
from prebill.store.drafts import lines_of
from prebill.store.lake_index import named_batches
from prebill.workflows.gate_files import load
from prebill.workflows.shard import gate_lines
from training.dataset import Dataset

_TITLES: Final = {
    "month": "month",
    "drafts": "drafts",
    "release": "release",
    "review": "review",
    "hold": "hold",
    "known": "outcome known",
    "errors": "credited later",
    "stopped_errors": "of these stopped",
    "precision": "precision",
    "recall": "recall",
    "late_share": "late",
    "p_late": "P(late)",
    "auroc": "AUROC",
    "brier": "Brier",
    "mae_days": "MAE days",
    "cover_80": "80 % holds",
}


def past_of_folder(dataset: Dataset, folder: Path) -> Past:
    """Everything in a folder of canonical files."""
    usage = usage_days(load(folder, USAGE_EVENTS).frame)
    return _past(dataset, load(folder, CUSTOMERS).frame, usage)


def past_of_home(dataset: Dataset, home: Path | None) -> Past:
    """Everything in an installation, with what its reviewers found wrong."""
    opened = Installation.open(Settings.load(home))
    try:
        with opened.store.read() as tx:
            customers = tx.table_frame("customers", columns=CUSTOMERS.names)
            batches = named_batches(tx, USAGE_EVENTS.name)
            wrong = judged_wrong(tx)
        usage = _usage_of_lake(opened, batches, dataset)
    finally:
        opened.close()
    past = _past(dataset, CUSTOMERS.conform(customers), usage)
    drafted = INVOICES.conform(wrong.drop("lines_json", "error_minor"))
    lines = lines_of(wrong.select(draft_id="invoice_id", lines_json="lines_json"))
    return Past(
        past.inputs,
        past.known_until,
        verdicts=wrong.select("invoice_id", "error_minor"),
        as_drafted=Books(drafted, INVOICE_LINES.conform(gate_lines(lines))),
    )


def months_of(dataset: Dataset, count: int) -> list[Period]:
    """The latest months that can be judged; see :func:`latest_months`.

    Raises
    ------
    InputError
        There is none.
    """
    kept = latest_months(dataset.invoices, count, known_until=dataset.as_of_on)
    if not kept:
        days = dataset.invoices["issued_on"].sort().cast(pl.String).to_list() or ["nowhere"]
        message = (
            f"there is no whole month to judge: invoices are from {days[0]} to {days[-1]}, and a "
            "month needs one before it"
        )
        raise InputError(message, first_on=days[0], last_on=days[-1])
    return kept


def table(found: Backtest) -> str:
    """Months as a Markdown table, with notes below it."""
    lines = ["| " + " | ".join(_TITLES.values()) + " |", "|---" * len(_TITLES) + "|"]
    lines += [
        "| " + " | ".join(_cell(row[name]) for name in _TITLES) + " |"
        for row in found.months.iter_rows(named=True)
    ]
    lines += ["", *dict.fromkeys(found.notes)]
    return "\n".join(lines).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _past(dataset: Dataset, customers: pl.DataFrame, usage: pl.DataFrame) -> Past:
    inputs = ScoringInputs(
        history=Books(dataset.invoices, dataset.lines),
        drafts=Books(),
        customers=customers,
        payments=dataset.payments,
        credit_notes=dataset.credit_notes,
        usage_days=usage,
    )
    return Past(inputs, dataset.as_of_on)


def _usage_of_lake(opened: Installation, batches: Sequence[str], dataset: Dataset) -> pl.DataFrame:
    """Usage by day, a month of events at a time: events are many, days few."""
    first_on = dataset.invoices["issued_on"].min()
    assert isinstance(first_on, date)
    start_at = datetime(first_on.year, first_on.month, 1, tzinfo=UTC) - timedelta(days=62)
    end_on = dataset.as_of_on
    until_at = datetime(end_on.year, end_on.month, end_on.day, tzinfo=UTC)
    parts = [USAGE_DAYS.empty()]
    while start_at < until_at:
        end_at = start_at + timedelta(days=30)
        events = opened.lake.scan_between("usage_events", batches, start_at, end_at)
        parts.append(usage_days(events.select(USAGE_EVENTS.names).collect()))
        start_at = end_at
    return pl.concat(parts)
