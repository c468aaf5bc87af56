"""Cash to come in by week: open invoices paid as payment risk says, and invoices yet to be issued.

Invoices to come are those of the last three cycles again, each draw those of one, at the level
that billing is heading for. A customer's invoices are paid early together and late together: they
wait for the same payment run. Figures are floats in minor units: indicative, never posted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from prebill.core.forecasts.series import Method, forecast

Floats = npt.NDArray[np.float64]

DRAWS: Final = 1_000
LEVELS: Final = (0.1, 0.5, 0.9)
#: Cycles of past billing from which its level is forecast, at most and at least.
CYCLES: Final = 26
LEAST_CYCLES: Final = 8
#: By how much billing differs from cycle to cycle: from the last changes, or while there are few.
RECENT_CHANGES: Final = 6
STATED_SPREAD: Final = 0.15
MAD_TO_DEVIATION: Final = 1.4826
#: Share of the money issued on three days of the month from which billing is monthly.
MONTHLY_SHARE: Final = 0.6
#: How many of the last cycles are repeated: one alone is as noisy as itself.
REPEATED: Final = 3
#: Before the first step's day everything is open.
_EARLIEST: Final = -91.0
_CHUNK: Final = 2_000

CASH: Final = pl.Schema(
    {
        "currency": pl.String(),
        "start_on": pl.Date(),
        **dict.fromkeys(
            ("expected", "from_open", "from_new", "low", "middle", "high"), pl.Float64()
        ),
    }
)


def invoices_to_come(invoices: pl.DataFrame, *, as_of_on: date, weeks: int) -> pl.DataFrame:
    """Repeat the invoices of each of the last cycles until the end of the forecast.

    A cycle is a calendar month where most money is issued on three days of it, else four weeks, so
    that weekdays stay.

    Parameters
    ----------
    invoices : pl.DataFrame
        ``INVOICES`` issued before ``as_of_on``, one year of them.
    as_of_on : date
        First day of the first week.
    weeks : int
        How far.

    Returns
    -------
    pl.DataFrame, the columns of ``invoices`` and ``cycle``
        ``issued_on`` and ``due_on`` are moved; ``cycle`` says which one is repeated, 1 the last.
    """
    length, unit = _cycle(invoices, as_of_on)
    end_on = as_of_on + timedelta(days=7 * weeks)
    issued_on = pl.col("issued_on")
    parts = [invoices.clear().with_columns(cycle=pl.lit(0, pl.Int64))]
    for cycle in range(1, REPEATED + 1):
        first_on, last_on = (
            pl.select(pl.lit(as_of_on).dt.offset_by(f"-{number * length}{unit}")).item()
            for number in (cycle, cycle - 1)
        )
        source = invoices.filter(issued_on.is_between(first_on, last_on, closed="left"))
        for ahead in range(weeks // 4 + 1):
            times = f"{(cycle + ahead) * length}{unit}"
            moved = issued_on.dt.offset_by(times)
            parts.append(
                source.with_columns(
                    invoice_id=pl.format("{}+{}", "invoice_id", pl.lit(times)),
                    issued_on=moved,
                    due_on=moved + (pl.col("due_on") - issued_on),
                    cycle=pl.lit(cycle, pl.Int64),
                )
            )
    coming = pl.concat(parts)
    return coming.filter(issued_on.is_between(as_of_on, end_on, closed="left"))


def _cycle(invoices: pl.DataFrame, as_of_on: date) -> tuple[int, str]:
    """Length of a billing cycle and its unit."""
    recent = invoices.filter(pl.col("issued_on") >= as_of_on - timedelta(days=92))
    by_day = recent.group_by(pl.col("issued_on").dt.day()).agg(pl.col("total_minor").sum())
    money = by_day["total_minor"].cast(pl.Float64)
    whole, three = float(money.sum()), float(money.top_k(3).sum())
    is_monthly = whole > 0 and three / whole >= MONTHLY_SHARE
    return (1, "mo") if is_monthly else (28, "d")


@dataclass(frozen=True, slots=True)
class Receivables:
    """Open invoices and invoices to come, and P(open after each step), row by row.

    ``rows`` has ``customer_id, currency, due_on, open_minor`` and ``cycle``: 0 for an open invoice,
    else of :func:`invoices_to_come`. ``edges`` are the last days after due of the steps.
    """

    rows: pl.DataFrame
    open_shares: Floats
    edges: Sequence[float]

    def open_after(self, days: Floats) -> Floats:
        """P(open at the end of so many days after due): one row an invoice, as ``days``."""
        edges = np.array([_EARLIEST, *self.edges])
        shares = np.column_stack([np.ones(len(self.open_shares)), self.open_shares])
        place = np.clip(np.searchsorted(edges, days, side="right"), 1, len(edges) - 1)
        row = np.arange(len(days))[:, None]
        part = np.clip((days - edges[place - 1]) / (edges[place] - edges[place - 1]), 0.0, 1.0)
        before: Floats = shares[row, place - 1]
        after: Floats = shares[row, place]
        found: Floats = before + part * (after - before)
        return found

    def paid_by(self, as_of_on: date, weeks: int) -> Floats:
        """P(paid by the end of each week | open this morning): one row an invoice."""
        age = (pl.lit(as_of_on) - pl.col("due_on")).dt.total_days() - 1
        days = self.rows.select(age).to_series().to_numpy().astype(np.float64)
        still = self.open_after(days[:, None] + 7.0 * np.arange(weeks + 1)[None, :])
        now = np.maximum(still[:, :1], 1e-9)
        paid: Floats = 1.0 - np.minimum(still[:, 1:] / now, 1.0)
        return paid


def cash_by_week(
    receivables: Receivables,
    billed: pl.DataFrame,
    *,
    as_of_on: date,
    weeks: int,
    seed: int,
) -> pl.DataFrame:
    """Forecast the cash of each of the next weeks.

    Parameters
    ----------
    receivables : Receivables
        What is open on the morning of ``as_of_on``, and :func:`invoices_to_come`.
    billed : pl.DataFrame
        ``currency, issued_on, total_minor`` of past invoices: the level of those to come.
    as_of_on : date
        First day of the first week.
    weeks : int
        How many.
    seed : int
        Equal inputs and seed give equal figures.

    Returns
    -------
    pl.DataFrame, one row per currency and week
        ``CASH``: ``expected`` with its parts ``from_open`` and ``from_new``; ``low, middle, high``
        are the 10th, 50th and 90th percentile.
    """
    generator = np.random.default_rng(seed)
    parts = [pl.DataFrame(schema=CASH)]
    rows = receivables.rows
    paid_by = receivables.paid_by(as_of_on, weeks)
    amounts = rows["open_minor"].cast(pl.Float64).to_numpy()
    payer = rows.select(pl.col("customer_id").rank("dense").cast(pl.Int64)).to_series().to_numpy()
    cycles = rows["cycle"].to_numpy()
    for currency in rows["currency"].unique().sort():  # a handful
        own = (rows["currency"] == currency).to_numpy()
        opened, *coming = (
            _simulated(paid_by[which], amounts[which], payer[which], generator)
            for which in (own & (cycles == cycle) for cycle in range(REPEATED + 1))
        )
        level = _level(billed.filter(pl.col("currency") == currency), as_of_on)
        # Each draw repeats one of the cycles: what they differ by is part of the interval.
        new = np.stack(coming)[np.arange(DRAWS) % REPEATED, np.arange(DRAWS)]
        parts.append(_summed(currency, as_of_on, opened, new * level.drawn(generator)))
    return pl.concat(parts)


def _simulated(
    paid_by: Floats, amounts: Floats, payer: npt.NDArray[np.int64], generator: np.random.Generator
) -> Floats:
    """Cash by draw and week; a payer's invoices are paid at the same quantile of their time."""
    weeks = paid_by.shape[1]
    cash = np.zeros((DRAWS, weeks))
    order = np.argsort(payer, kind="stable")
    paid_by, amounts, payer = paid_by[order], amounts[order], payer[order]
    carried, last = np.zeros(DRAWS), -1
    for start in range(0, len(amounts), _CHUNK):  # bounds memory; a payer may go on in the next
        some = slice(start, start + _CHUNK)
        names, member = np.unique(payer[some], return_inverse=True)
        drawn = _quantiles(len(names), generator)
        if names[0] == last:
            drawn[:, 0] = carried
        carried, last = drawn[:, -1], names[-1]
        own = drawn[:, member]
        by = [(own < paid_by[some, week]) @ amounts[some] for week in range(weeks)]
        cash += np.diff(np.column_stack([np.zeros(DRAWS), *by]), axis=1)
    return cash


def _quantiles(count: int, generator: np.random.Generator) -> Floats:
    """One quantile a draw for each payer, evenly spread over the draws: less noise than chance."""
    places = np.tile(np.arange(DRAWS, dtype=np.float64), (count, 1))
    spread: Floats = (generator.permuted(places, axis=1).T + generator.random((1, count))) / DRAWS
    return spread


@dataclass(frozen=True, slots=True)
class _Level:
    """Billing to come over that of the repeated cycles, and by how much it may differ, in logs."""

    factor: float
    spread: float

    def drawn(self, generator: np.random.Generator) -> Floats:
        noise = generator.normal(0.0, self.spread, (DRAWS, 1))
        found: Floats = self.factor * np.exp(noise - self.spread**2 / 2)
        return found


def _level(billed: pl.DataFrame, as_of_on: date) -> _Level:
    """Where billing is heading, by cycles of four weeks that end this morning.

    Too few cycles for a model: as high as the repeated ones.
    """
    age = (pl.lit(as_of_on) - pl.col("issued_on")).dt.total_days() - 1
    cycles = (
        billed.with_columns(step=-(age // 28))
        .filter(pl.col("step") > -CYCLES)
        .group_by("step")
        .agg(value=pl.col("total_minor").sum().cast(pl.Float64))
        .sort("step")
    )
    history = cycles[1:].select("step", "value", series=pl.lit("billed"))  # the first is a part
    changes = history["value"].log().diff().drop_nulls().tail(RECENT_CHANGES).abs().to_numpy()
    # The median: a start or one large invoice is no measure of the ordinary month.
    spread = MAD_TO_DEVIATION * float(np.median(changes)) if len(changes) > 2 else STATED_SPREAD
    if history.height < LEAST_CYCLES:
        return _Level(1.0, spread)
    ahead = forecast(history, method=Method.SMOOTHING, steps=1, gate=LEAST_CYCLES)["expected"][0]
    return _Level(float(ahead / history["value"].tail(REPEATED).to_numpy().mean()), spread)


def _summed(currency: str, as_of_on: date, opened: Floats, coming: Floats) -> pl.DataFrame:
    total = opened + coming
    low, middle, high = np.quantile(total, LEVELS, axis=0)
    weeks = total.shape[1]
    return pl.DataFrame(
        {
            "currency": [currency] * weeks,
            "start_on": [as_of_on + timedelta(days=7 * week) for week in range(weeks)],
            "expected": total.mean(axis=0),
            "from_open": opened.mean(axis=0),
            "from_new": coming.mean(axis=0),
            "low": low,
            "middle": middle,
            "high": high,
        },
        schema=CASH,
    )
