"""When each invoice was settled, and what was known of each customer on a morning.

``receivables`` finds the day of settlement; ``profile`` gathers what :mod:`.payment` sets a draft
beside: the customer's latest invoices that were due by then, and the portfolio's figures. Rows
dated that morning or later are not read.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.scoring.features.payment_calendar import CURRENCIES, bank_days

Days = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: An invoice is settled once payments and credits reach this share of the total (bank charges).
SETTLED_PER_MILLE: Final = 995
#: Delays beyond this are entered as this: one forgotten invoice must not own a customer's mean.
DELAY_FLOOR: Final = -60
DELAY_CEILING: Final = 120
WEEKDAYS: Final = 7
PRIOR_LATE_RATE: Final = 0.3
#: Invoices that are looked back on, latest due first: of a customer on each weekday due (one with
#: twenty invoices a day would else have no second Monday in sight), and of everyone.
OWN_INVOICES: Final = 150
PORTFOLIO_INVOICES: Final = 20_000
#: Half-lives, in invoices, of everyone's recent late rate and distribution of delays.
RECENT_HALF_LIFE: Final = 1_000
PORTFOLIO_HALF_LIFE: Final = 3_000
#: Pseudo-invoices with which everyone's figures are pulled to the plain prior's.
PRIOR_WEIGHT: Final = 10.0
HAZARD_WEIGHT: Final = 3.0
#: Last day after due of each step in which the hazard of being settled is learnt.
EDGES: Final = (
    *(-20, -12, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    *(12, 14, 17, 21, 28, 35, 45, 60, 90),
)
STEPS: Final = len(EDGES)
#: A day that never came: open.
OPEN: Final = 2**31
#: What is kept of a past invoice: days since 1970 (``OPEN``: not seen settled), the weekday due as
#: a bank sees it, the logarithm of the amount. One array an invoice: a profile row is read at once.
PAST: Final = ("due_day", "settled_day", "due_weekday", "log_amount")

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
    pl.DataFrame, one row per invoice
        ``invoice_id, customer_id, currency, issued_on, due_on, total_minor``,
        ``settled_on`` (null: open) and ``is_labelled``.
    """
    columns = ["invoice_id", "customer_id", "currency", "issued_on", "due_on", "total_minor"]
    labelled = invoices.select(columns).with_columns(is_labelled=pl.lit(value=True))
    if drafts is not None:
        labelled = labelled.join(drafts.select("invoice_id"), on="invoice_id", how="anti")
        unlabelled = drafts.select(columns).with_columns(is_labelled=pl.lit(value=False))
        labelled = pl.concat([labelled, unlabelled])
    settled = labelled.join(
        settlements(labelled, payments, credit_notes), on="invoice_id", how="left"
    )
    kept = pl.when("is_labelled").then("settled_on")
    return settled.with_columns(settled_on=kept).sort("customer_id", "issued_on", "invoice_id")


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
    received = pl.concat(
        [
            payments.select("invoice_id", day="paid_on", amount_minor="amount_minor"),
            credit_notes.select("invoice_id", day="issued_on", amount_minor="amount_minor"),
        ]
    )
    due = invoices.filter(pl.col("total_minor") > 0).select("invoice_id", "total_minor")
    daily = (
        received.group_by("invoice_id", "day")
        .agg(pl.col("amount_minor").sum())
        .join(due, on="invoice_id")
        .sort("invoice_id", "day")
    )
    paid_minor = pl.col("amount_minor").cum_sum().over("invoice_id")
    is_reached = paid_minor * 1000 >= pl.col("total_minor") * SETTLED_PER_MILLE
    return daily.filter(is_reached).group_by("invoice_id").agg(settled_on=pl.col("day").min())


def profile(
    receivables: pl.DataFrame, keys: pl.DataFrame, disputes: pl.DataFrame | None = None
) -> pl.DataFrame:
    """What was known of each customer on a morning: rows dated that day or later are not read.

    Parameters
    ----------
    receivables : pl.DataFrame
        From :func:`receivables`.
    keys : pl.DataFrame
        ``customer_id`` and ``issued_on``: the customers and days wanted. Optional
        ``labels_before``: the outcome of invoices issued that day or later is not known, as for
        drafts that wait together.
    disputes : pl.DataFrame or None
        ``DISPUTES``. None or empty: nobody records them, and their features are null.

    Returns
    -------
    pl.DataFrame, one row per distinct key
        The key; ``past``: a list, latest first, of ``PAST`` of the customer's invoices due before
        that day; ``issued_count``, ``dispute_count``, ``open_dispute_count``; of everyone:
        ``all_late_rate``, ``all_recent_late_rate``, ``all_weekday_late_rates``, ``all_hazards``.
    """
    names = [name for name in ("customer_id", "issued_on", "labels_before") if name in keys.columns]
    wanted = keys.select(names).unique().sort(names)
    ids = pl.concat([receivables["customer_id"], wanted["customer_id"]]).unique().sort()
    number = _number(wanted["customer_id"], ids)
    day = days_of(wanted["issued_on"])
    before = days_of(wanted["labels_before"]) if "labels_before" in names else day
    known = _Known.of(receivables, ids)
    return pl.concat(
        [
            wanted,
            _past(known, number, day, before),
            _portfolio(known, np.minimum(day, before)),
            _disputed(known, disputes, number, day),
        ],
        how="horizontal",
    )


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


def _number(customers: pl.Series, ids: pl.Series) -> Days:
    found: Days = ids.search_sorted(customers).cast(pl.Int64).to_numpy()
    return found


@dataclass(frozen=True, slots=True)
class _Known:
    """Labelled invoices by customer, weekday due and the first day on which they count.

    They count once they are due and issued.
    """

    invoice_id: pl.Series
    key: Days
    customer: Days
    counts_on: Days
    issued: Days
    due: Days
    settled: Days
    weekday: Days
    log_amount: Floats

    @classmethod
    def of(cls, receivables: pl.DataFrame, ids: pl.Series) -> "_Known":
        rows = (
            receivables.filter("is_labelled", pl.col("total_minor") > 0)
            .with_columns(
                counts_on=pl.max_horizontal("due_on", "issued_on"),
                log_amount=pl.col("total_minor").cast(pl.Float64).log(),
            )
            .sort("customer_id", "counts_on", "invoice_id")
        )
        customer, due = _number(rows["customer_id"], ids), days_of(rows["due_on"])
        counts_on = days_of(rows["counts_on"])
        weekday = bank_days().weekday(calendars(rows["currency"]), due)
        key = _keys(customer, weekday, counts_on)
        order = np.argsort(key, kind="stable")
        return cls(
            invoice_id=rows["invoice_id"][order],
            key=key[order],
            customer=customer[order],
            counts_on=counts_on[order],
            issued=days_of(rows["issued_on"])[order],
            due=due[order],
            settled=days_of(rows["settled_on"])[order],
            weekday=weekday[order],
            log_amount=rows["log_amount"].to_numpy()[order],
        )


def _keys(customer: Days, weekday: Days | int, day: Days | int) -> Days:
    """Order by customer, weekday, day."""
    within = (np.asarray(weekday, dtype=np.int64) << 32) + np.asarray(day, dtype=np.int64)
    return (customer << 35) + within


def _past(known: _Known, customer: Days, day: Days, before: Days) -> pl.DataFrame:
    """Lists of each customer's latest invoices that counted by the morning, latest first."""
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
    place, taken = np.concatenate(at), np.concatenate(row)
    order = np.argsort((place << 32) - known.counts_on[taken], kind="stable")
    place, taken = place[order], taken[order]
    settled = known.settled[taken]
    told = np.column_stack(
        [
            known.due[taken],
            np.where(settled < day[place], settled, OPEN),
            known.weekday[taken],
            known.log_amount[taken],
        ]
    )
    pairs = pl.DataFrame({"place": place}).with_columns(
        pl.Series("past", told, pl.Array(pl.Float64, len(PAST)))
    )
    listed = pairs.group_by("place", maintain_order=True).agg("past")
    every = pl.DataFrame({"place": np.arange(len(day))})
    return every.join(listed, on="place", how="left", maintain_order="left").select(
        pl.col("past").fill_null([])
    )


def ranks(count: Days) -> Days:
    """0, 1, 2 … within each group of so many rows."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def _portfolio(known: _Known, day: Days) -> pl.DataFrame:
    """Everyone's figures on each morning, made once for each distinct day."""
    order = np.argsort(known.counts_on, kind="stable")
    counts_on = known.counts_on[order]
    days, place = np.unique(day, return_inverse=True)
    rows = []
    for morning in days:
        end = int(np.searchsorted(counts_on, morning))
        taken = order[max(end - PORTFOLIO_INVOICES, 0) : end][::-1]
        rows.append(_everyone(known, taken, int(morning)))
    figures = np.array(rows).reshape(len(days), -1)[place]
    late_rate, recent, weekdays, steps = np.split(figures, (1, 2, 2 + WEEKDAYS), axis=1)
    return pl.DataFrame(
        {"all_late_rate": late_rate[:, 0], "all_recent_late_rate": recent[:, 0]}
    ).with_columns(
        pl.Series("all_weekday_late_rates", weekdays, pl.Array(pl.Float64, WEEKDAYS)),
        pl.Series("all_hazards", steps, pl.Array(pl.Float64, STEPS)),
    )


def _everyone(known: _Known, taken: Days, morning: int) -> Floats:
    """Late rate, recent late rate, late rate by weekday due, hazards of the taken invoices."""
    due, settled = known.due[taken], known.settled[taken]
    is_settled = settled < morning
    delay = np.clip(
        np.where(is_settled, settled - due, morning - 1 - due), DELAY_FLOOR, DELAY_CEILING
    )
    late = (~is_settled | (delay > 0)).astype(np.float64)
    rank = np.arange(taken.size)
    rate = (late.sum() + PRIOR_WEIGHT * PRIOR_LATE_RATE) / (late.size + PRIOR_WEIGHT)
    recent = 0.5 ** (rank / RECENT_HALF_LIFE)
    weight = 0.5 ** (rank / PORTFOLIO_HALF_LIFE)
    step = last_steps(delay, is_settled)
    weekday = known.weekday[taken] - 1
    by_weekday = np.bincount(weekday, late, WEEKDAYS) + PRIOR_WEIGHT * rate
    settled_weight = summed(step, weight * is_settled, STEPS + 1)[None, :]
    exits = summed(step, weight, STEPS + 1)[None, :]
    return np.concatenate(
        [
            [rate, (late @ recent + PRIOR_WEIGHT * rate) / (recent.sum() + PRIOR_WEIGHT)],
            by_weekday / (np.bincount(weekday, minlength=WEEKDAYS) + PRIOR_WEIGHT),
            hazards(settled_weight, exits, prior_hazards()[None, :], HAZARD_WEIGHT)[0],
        ]
    )


def _disputed(
    known: _Known, disputes: pl.DataFrame | None, customer: Days, day: Days
) -> pl.DataFrame:
    """How many of a customer's invoices were contested before the morning, and still are."""
    names = ("issued_count", "dispute_count", "open_dispute_count")
    if disputes is None or disputes.is_empty():
        return pl.DataFrame(
            {name: pl.Series([None] * len(day), dtype=pl.Float64) for name in names}
        )
    of_invoice = pl.DataFrame({"invoice_id": known.invoice_id, "customer": known.customer})
    contested = disputes.join(of_invoice, on="invoice_id")
    own = contested["customer"].to_numpy()
    wanted = _keys(customer, 0, day)

    def before(days: Days, whose: Days) -> Floats:
        key = np.sort(_keys(whose, 0, days))
        counted = np.searchsorted(key, wanted) - np.searchsorted(key, _keys(customer, 0, 0))
        return counted.astype(np.float64)

    opened = before(days_of(contested["opened_on"]), own)
    closed = before(days_of(contested["closed_on"]), own)
    issued = before(known.issued, known.customer)
    return pl.DataFrame(dict(zip(names, (issued, opened, opened - closed), strict=True)))
