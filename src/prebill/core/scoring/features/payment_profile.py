"""What was known of each customer's payments on a morning: rows of that day or later are not read.

``remembered`` makes a row an invoice that can be stored with a customer; ``profile`` finds in such
rows what :mod:`.payment` sets a draft beside. Both work on numbers: one customer needs hardly any
operation on frames, and a hundred thousand no other code.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.features.payment_calendar import bank_days
from prebill.core.scoring.features.payment_everyone import Everyone, Outcomes, everyone_of
from prebill.core.scoring.features.payment_history import (
    OPEN,
    WEEKDAYS,
    Days,
    Floats,
    calendars,
    days_of,
    ranks,
)

#: Invoices that are looked back on, latest due first: of a customer on each weekday due (one with
#: twenty invoices a day would else have no second Monday in sight).
OWN_INVOICES: Final = 150
#: A labelled invoice in numbers. Days since 1970; ``counts_day``: due and issued, from then on it
#: tells something; ``settled_day``: ``OPEN`` if not seen; ``due_weekday`` as a bank sees it.
REMEMBERED: Final = {
    "invoice_id": pl.String,
    "customer_id": pl.String,
    "due_weekday": pl.Int64,
    "counts_day": pl.Int64,
    "issued_day": pl.Int64,
    "due_day": pl.Int64,
    "settled_day": pl.Int64,
    "log_amount": pl.Float64,
}
_EPOCH: Final = date(1970, 1, 1)


def remembered(receivables: pl.DataFrame, before: date | None = None) -> pl.DataFrame:
    """Put what is known of labelled invoices into numbers.

    Parameters
    ----------
    receivables : pl.DataFrame
        From :func:`prebill.core.scoring.features.payment_history.receivables`.
    before : date or None
        A morning before all drafts to come: what none of them will look back on is left out.
        Everyone's habits must then come from elsewhere.

    Returns
    -------
    pl.DataFrame
        ``REMEMBERED``, by customer, weekday due and the day from which it counts.
    """
    rows = receivables.filter("is_labelled", pl.col("total_minor") > 0).sort(
        "customer_id", "issued_on", "invoice_id", maintain_order=True
    )
    customer = rows["customer_id"].rle_id().to_numpy().astype(np.int64)
    issued, due = days_of(rows["issued_on"]), days_of(rows["due_on"])
    counts_on = np.maximum(issued, due)
    weekday = bank_days().weekday(calendars(rows["currency"]), due)
    key = _keys(customer, weekday, counts_on)
    order = np.argsort(key, kind="stable")
    if before is not None:
        order = order[_is_looked_at(key[order], counts_on[order], (before - _EPOCH).days)]
    told = (weekday, counts_on, issued, due, days_of(rows["settled_on"]))
    amounts = np.log(rows["total_minor"].to_numpy().astype(np.float64))
    names = rows.select("invoice_id", "customer_id")[order]
    return names.with_columns(
        pl.Series(name, values[order])
        for name, values in zip(list(REMEMBERED)[2:], (*told, amounts), strict=True)
    )


@dataclass(frozen=True, slots=True)
class Past:
    """Earlier invoices of each key, latest first: those of key ``k`` are ``start[k]`` and on."""

    count: Days
    due: Days
    settled: Days
    weekday: Days
    log_amount: Floats

    @property
    def start(self) -> Days:
        """Where each key's invoices begin."""
        found: Days = np.cumsum(self.count) - self.count
        return found


@dataclass(frozen=True, slots=True)
class Profile:
    """What was known on each morning.

    ``keys``: the distinct customers and mornings; ``past``: their invoices due by then;
    ``everyone``: a row a key; ``issued``, ``disputes``, ``open_disputes``: how many invoices of the
    customer, NaN where nobody records disputes.
    """

    keys: pl.DataFrame
    past: Past
    everyone: Everyone
    issued: Floats
    disputes: Floats
    open_disputes: Floats


def profile(
    receivables: pl.DataFrame,
    keys: pl.DataFrame,
    disputes: pl.DataFrame | None = None,
    everyone: Everyone | None = None,
) -> Profile:
    """Gather what was known of each customer on a morning.

    Parameters
    ----------
    receivables : pl.DataFrame
        From :func:`prebill.core.scoring.features.payment_history.receivables`, or ``REMEMBERED``.
    keys : pl.DataFrame
        ``customer_id`` and ``issued_on``: the customers and days wanted. Optional
        ``labels_before``: the outcome of invoices issued that day or later is not known, as for
        drafts that wait together.
    disputes : pl.DataFrame or None
        ``DISPUTES``. None or empty: nobody records them, and their features are null.
    everyone : Everyone or None
        What is ordinary, learnt before (one row); None: counted from ``receivables`` on each day.
    """
    rows = receivables if "counts_day" in receivables.columns else remembered(receivables)
    names = [name for name in ("customer_id", "issued_on", "labels_before") if name in keys.columns]
    wanted = keys.select(names)
    if wanted.height > 1:
        wanted = wanted.unique().sort(names)
    known = _Known.of(rows)
    day = days_of(wanted["issued_on"])
    before = days_of(wanted["labels_before"]) if "labels_before" in names else day
    customer = known.numbers(wanted["customer_id"])
    if everyone is None:
        outcomes = Outcomes(known.counts_on, known.due, known.settled, known.weekday)
        mornings, place = np.unique(np.minimum(day, before), return_inverse=True)
        everyone = everyone_of(outcomes, mornings).take(place)
    else:
        everyone = everyone.take(np.zeros(wanted.height, dtype=np.int64))
    return Profile(
        wanted,
        _past(known, customer, day, before),
        everyone,
        *_disputed(rows, known, disputes, customer=customer, day=day),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """``REMEMBERED`` as arrays; customers by number, in the order of ``customers``."""

    customers: pl.Series
    key: Days
    customer: Days
    counts_on: Days
    issued: Days
    due: Days
    settled: Days
    weekday: Days
    log_amount: Floats

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "_Known":
        ids = rows["customer_id"]
        if not len(ids) or ids[0] == ids[-1]:
            customer = np.zeros(len(ids), dtype=np.int64)
        else:
            customer = ids.rle_id().to_numpy().astype(np.int64)
        weekday, counts_on = rows["due_weekday"].to_numpy(), rows["counts_day"].to_numpy()
        return cls(
            customers=ids.gather(np.flatnonzero(np.diff(customer, prepend=-1))),
            key=_keys(customer, weekday, counts_on),
            customer=customer,
            counts_on=counts_on,
            issued=rows["issued_day"].to_numpy(),
            due=rows["due_day"].to_numpy(),
            settled=rows["settled_day"].to_numpy(),
            weekday=weekday,
            log_amount=rows["log_amount"].to_numpy(),
        )

    def numbers(self, wanted: pl.Series) -> Days:
        """The number of each wanted customer; one that is not known has a number of nobody."""
        if not len(self.customers):
            return np.zeros(len(wanted), dtype=np.int64)
        place = self.customers.search_sorted(wanted).to_numpy().astype(np.int64)
        found = np.minimum(place, len(self.customers) - 1)
        is_known = (self.customers.gather(found) == wanted).to_numpy()
        return np.where(is_known, found, len(self.customers))


def _keys(customer: Days, weekday: Days | int, day: Days | int) -> Days:
    """Order by customer, weekday, day."""
    within = (np.asarray(weekday, dtype=np.int64) << 32) + np.asarray(day, dtype=np.int64)
    found: Days = (customer << 35) + within
    return found


def _is_looked_at(key: Days, counts_on: Days, morning: int) -> npt.NDArray[np.bool_]:
    """The latest of each customer and weekday due, and those that will count later."""
    _, cell, size = np.unique(key >> 32, return_inverse=True, return_counts=True)
    is_counted = counts_on < morning
    counted = np.bincount(cell[is_counted], minlength=size.size)
    found: npt.NDArray[np.bool_] = ~is_counted | (counted[cell] - ranks(size) <= OWN_INVOICES)
    return found


def _past(known: _Known, customer: Days, day: Days, before: Days) -> Past:
    """Each customer's latest invoices that counted by the morning, latest first."""
    horizon = np.where(before < day, before, OPEN)
    at, row = [], []
    # A batch to score has one horizon, a training set one a day: never a turn an invoice.
    for one in np.unique(horizon):
        wanted = np.flatnonzero(horizon == one)
        seen = np.flatnonzero(known.issued < one)
        key = known.key[seen]
        for weekday in range(1, WEEKDAYS + 1):
            first = np.searchsorted(key, _keys(customer[wanted], weekday, 0))
            end = np.searchsorted(key, _keys(customer[wanted], weekday, day[wanted]))
            count = np.minimum(end - first, OWN_INVOICES)
            at.append(np.repeat(wanted, count))
            row.append(seen[np.repeat(end, count) - 1 - ranks(count)])
    place = np.concatenate([*at, np.zeros(0, dtype=np.int64)])
    taken = np.concatenate([*row, np.zeros(0, dtype=np.int64)])
    order = np.argsort((place << 32) - known.counts_on[taken], kind="stable")
    place, taken = place[order], taken[order]
    settled = known.settled[taken]
    return Past(
        count=np.bincount(place, minlength=len(day)),
        due=known.due[taken],
        settled=np.where(settled < day[place], settled, OPEN),
        weekday=known.weekday[taken],
        log_amount=known.log_amount[taken],
    )


def _disputed(
    rows: pl.DataFrame,
    known: _Known,
    disputes: pl.DataFrame | None,
    *,
    customer: Days,
    day: Days,
) -> tuple[Floats, ...]:
    """Invoices issued, contested before the morning, and still contested."""
    if disputes is None or disputes.is_empty():
        return (np.full(len(day), np.nan),) * 3
    of_invoice = rows.select("invoice_id").with_columns(customer=pl.Series(known.customer))
    contested = disputes.join(of_invoice, on="invoice_id")
    own = contested["customer"].to_numpy()
    wanted = _keys(customer, 0, day)

    def before(days: Days, whose: Days) -> Floats:
        key = np.sort(_keys(whose, 0, days))
        counted = np.searchsorted(key, wanted) - np.searchsorted(key, _keys(customer, 0, 0))
        return counted.astype(np.float64)

    opened = before(days_of(contested["opened_on"]), own)
    closed = before(days_of(contested["closed_on"]), own)
    return before(known.issued, known.customer), opened, opened - closed
