"""When each invoice was settled, and the steps of days after due in which that is counted.

What was known on a morning: :mod:`.payment_profile`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.features.payment_calendar import CURRENCIES

Days = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: An invoice is settled once payments and credits reach this share of the total (bank charges).
SETTLED_PER_MILLE: Final = 995
#: Delays beyond this are entered as this: one forgotten invoice must not own a customer's mean.
DELAY_FLOOR: Final = -60
DELAY_CEILING: Final = 120
WEEKDAYS: Final = 7
PRIOR_LATE_RATE: Final = 0.3
#: Last day after due of each step in which the hazard of being settled is learnt.
EDGES: Final = (
    *(-20, -12, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    *(12, 14, 17, 21, 28, 35, 45, 60, 90),
)
STEPS: Final = len(EDGES)
#: A day that never came: open.
OPEN: Final = 2**31

_EDGES: Final = np.array(EDGES, dtype=np.int64)


def receivables(
    invoices: pl.DataFrame,
    payments: pl.DataFrame,
    credit_notes: pl.DataFrame,
    drafts: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Join invoices with the day on which each was settled.

    Parameters
    ----------
    invoices, payments, credit_notes : pl.DataFrame
        ``INVOICES``, ``PAYMENTS``, ``CREDIT_NOTES``.
    drafts : pl.DataFrame or None
        ``INVOICES`` that are being judged. A draft replaces a history row of the same id, its own
        payments and credits are never read, and it stays unlabelled: neither paid nor late.

    Returns
    -------
    pl.DataFrame, one row per invoice, by customer, issue date and id
        ``invoice_id, customer_id, currency, issued_on, due_on, total_minor``,
        ``settled_on`` (null: open) and ``is_labelled``.
    """
    columns = ["invoice_id", "customer_id", "currency", "issued_on", "due_on", "total_minor"]
    labelled = invoices.select(columns).with_columns(is_labelled=pl.lit(value=True))
    if drafts is not None:
        labelled = labelled.join(drafts.select("invoice_id"), on="invoice_id", how="anti")
    settled = labelled.with_columns(settled_on=_settled_on(labelled, payments, credit_notes))
    if drafts is not None:
        unlabelled = drafts.select(columns).with_columns(
            is_labelled=pl.lit(value=False), settled_on=pl.lit(None, dtype=pl.Date)
        )
        settled = pl.concat([settled, unlabelled])
    return settled.sort("customer_id", "issued_on", "invoice_id").select(
        *columns, "settled_on", "is_labelled"
    )


def settlements(
    invoices: pl.DataFrame, payments: pl.DataFrame, credit_notes: pl.DataFrame
) -> pl.DataFrame:
    """Find the first day on which payments and credits reach the total less tolerance.

    Returns
    -------
    pl.DataFrame, one row per settled invoice
        ``invoice_id`` and ``settled_on``. The day depends on no later payment, so a settlement
        before a day is known from what is dated before that day.
    """
    found = invoices.select("invoice_id", settled_on=_settled_on(invoices, payments, credit_notes))
    return found.filter(pl.col("settled_on").is_not_null())


def _settled_on(
    invoices: pl.DataFrame, payments: pl.DataFrame, credit_notes: pl.DataFrame
) -> pl.Series:
    """The day of settlement of each row, null: open. Numbers instead of ids: half the time."""
    received = pl.concat(
        [
            payments.select("invoice_id", "amount_minor", day="paid_on"),
            credit_notes.select("invoice_id", "amount_minor", day="issued_on"),
        ]
    )
    owed = invoices.select("invoice_id", "total_minor").with_row_index("place")
    placed = received.join(owed.filter(pl.col("total_minor") > 0), on="invoice_id").filter(
        pl.col("day").is_not_null()
    )
    place, day = placed["place"].to_numpy().astype(np.int64), days_of(placed["day"])
    order = np.lexsort((day, place))
    place, day = place[order], day[order]
    paid = placed["amount_minor"].to_numpy()[order].cumsum()
    is_first = np.diff(place, prepend=-1) != 0
    # What was received for the invoices before is taken off.
    starts = np.flatnonzero(is_first)
    before = np.concatenate([[0], paid[starts[1:] - 1]])[: starts.size]
    paid = paid - np.repeat(before, np.diff(np.append(starts, place.size)))
    total = placed["total_minor"].to_numpy()[order]
    is_last_of_day = (np.diff(place, append=-1) != 0) | (np.diff(day, append=-1) != 0)
    reached = np.flatnonzero(is_last_of_day & (paid * 1000 >= total * SETTLED_PER_MILLE))
    settled, first = np.unique(place[reached], return_index=True)
    found = np.full(invoices.height, np.datetime64("NaT"), dtype="datetime64[D]")
    found[settled] = day[reached][first].astype("datetime64[D]")
    return pl.Series("settled_on", found)


def days_of(dates: pl.Series) -> Days:
    """Days since 1970; null is ``OPEN``."""
    days = dates.to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(days), OPEN, days.astype(np.int64))


def calendars(currency: pl.Series) -> Days:
    """The number of each currency's bank calendar."""
    found = np.zeros(len(currency), dtype=np.int64)
    for number, name in enumerate(CURRENCIES[1:], 1):
        found[(currency == name).to_numpy()] = number
    return found


def hazards(shares: Floats, exits: Floats, towards: Floats, weight: float) -> Floats:
    """Hazard by step of counted settlements, pulled ``towards`` another with ``weight`` invoices.

    Parameters
    ----------
    shares, exits : array (rows, STEPS + 1)
        Weight settled in each step, and weight last seen in it, settled or open.
    towards : array (rows or 1, STEPS)
        Hazards.
    weight : float
        Invoices that ``towards`` is worth in each step.
    """
    at_risk = exits[:, ::-1].cumsum(axis=1)[:, ::-1]
    pulled: Floats = (shares[:, :STEPS] + weight * towards) / (at_risk[:, :STEPS] + weight)
    return pulled


def last_steps(delay: Days, is_settled: npt.NDArray[np.bool_]) -> Days:
    """The step in which an invoice was settled, or the last one that it was seen open to the end.

    An invoice open since ``delay`` days has survived every step that ended by then.
    """
    settled = np.searchsorted(_EDGES, delay, side="left")
    survived = np.searchsorted(_EDGES, delay, side="right") - 1
    return np.where(is_settled, settled, survived)


def summed(place: Days, value: Floats, size: int) -> Floats:
    """Sum of the values at each place."""
    return np.bincount(place, value, size).astype(np.float64)


def prior_hazards() -> Floats:
    """What is assumed of a company without any payment: 70 % by the due date, halving weekly."""
    edges = _EDGES.astype(np.float64)
    early = (1 - PRIOR_LATE_RATE) * np.clip((edges + 15) / 15, 0.0, 1.0)
    late = PRIOR_LATE_RATE * (1 - 0.5 ** (np.maximum(edges, 0.0) / 7))
    reached = early + late
    before = np.concatenate([[0.0], reached[:-1]])
    return np.asarray((reached - before) / (1 - before))


def ranks(count: Days) -> Days:
    """0, 1, 2 … within each group of so many rows."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
