"""Features of one invoice beside its customer's payment behaviour as known that morning.

Declared here, computed from :func:`profile`. An invoice that is unpaid past its due date counts as
late from that day on: it is known by then.
"""

from typing import Final

import numpy as np
import polars as pl

from prebill.core.scoring.features.payment_history import (
    EDGES,
    PRIOR_LATE_RATE,
    STEPS,
    WEEKDAYS,
    band,
    log_amount,
    profile,
    receivables,
    settlements,
)

__all__ = ["COLUMNS", "EDGES", "FEATURES", "features", "profile", "receivables", "settlements"]

#: Pseudo-observations with which a customer's rate is pulled to the portfolio's.
PRIOR_WEIGHT: Final = 4.0
#: The same for a weekday or amount band, pulled to the customer's own.
CELL_WEIGHT: Final = 3.0
#: Invoices that the own distribution is worth at most, and pseudo-invoices of the portfolio in it.
OWN_INVOICES: Final = 60
ALL_INVOICES: Final = 1000
HAZARD_WEIGHT: Final = 3.0

#: Feature → what it means. Every one is null-safe: null means "not known yet".
FEATURES: Final[dict[str, str]] = {
    "terms_days": "due date less issue date",
    "due_weekday": "1 Monday to 7 Sunday",
    "due_month_day": "day of the month of the due date",
    "issued_weekday": "1 Monday to 7 Sunday",
    "log_amount": "natural logarithm of the total in minor units",
    "relative_amount": "log amount less the customer's mean log amount",
    "same_day_count": "invoices of the customer in the same batch",
    "same_due_count": "invoices of the customer in the same batch with the same due date",
    "tenure_days": "since the customer's first invoice, at most 90",
    "days_since_issue": "since the customer's latest earlier invoice",
    "known_count": "earlier invoices known to be on time or late, at most 60",
    "late_rate": "share known late, pulled to the portfolio",
    "late_rate_fast": "the same, half-life 5 invoices",
    "late_rate_slow": "the same, half-life 30 invoices",
    "late5_rate": "share of settled invoices more than 5 days late",
    "delay_mean": "mean days after due of settled invoices",
    "delay_deviation": "standard deviation of the same",
    "delay_median": "median of the last 10",
    "delay_fast": "exponential mean, half-life 2 invoices",
    "delay_slow": "exponential mean, half-life 15 invoices",
    "days_since_settled": "since the latest payment that settled an invoice",
    "overdue_count": "open and past due",
    "overdue_share": "overdue amount of the open amount",
    "overdue_age": "mean days past due of the overdue",
    "overdue_newest_age": "days since the latest invoice went past due unpaid",
    "open_load": "open amount in mean invoices of the customer",
    "weekday_late_rate": "late rate of invoices due on this weekday",
    "weekday_late_rate_fast": "the same, half-life 8 invoices",
    "weekday_delay": "mean delay of invoices due on this weekday",
    "weekday_delay_fast": "the same, half-life 3 invoices",
    "band_late_rate": "late rate of invoices of a similar amount",
    "band_late_rate_fast": "the same, half-life 8 invoices",
    "band_delay": "mean delay of invoices of a similar amount",
    "portfolio_late_rate": "late rate of everyone's outcomes of the last 30 days",
    "portfolio_weekday_late_rate": "everyone's late rate of invoices due on this weekday",
}
#: Share of the customer's settlements on each weekday; the hazard of a day reads its own.
WEEKDAY_SHARES: Final = tuple(f"settled_weekday_{day}" for day in range(1, WEEKDAYS + 1))
#: The customer's own hazard of each step: settled in it, of those not settled before.
OWN_HAZARDS: Final = tuple(f"own_hazard_{step:02d}" for step in range(STEPS))
COLUMNS: Final = (*FEATURES, *WEEKDAY_SHARES, *OWN_HAZARDS)


def features(drafts: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Set each draft beside its customer's profile of the morning of its issue date.

    Parameters
    ----------
    drafts : pl.DataFrame
        ``INVOICES``; rows of one customer and issue date are one batch.
    profile : pl.DataFrame
        From :func:`profile`, holding every (customer, issue date) of the drafts.

    Returns
    -------
    pl.DataFrame, one row per draft, in the order of the drafts
        ``invoice_id`` and ``COLUMNS`` as Float64.
    """
    batch = ["customer_id", "issued_on"]
    rows = drafts.select(
        *("invoice_id", "customer_id", "issued_on", "due_on"),
        log_amount=log_amount(),
        weekday=pl.col("due_on").dt.weekday(),
        band=band(),
        same_day_count=pl.len().over(batch),
        same_due_count=pl.len().over([*batch, "due_on"]),
    ).join(profile, on=batch, how="left", maintain_order="left")
    rows = rows.with_columns(_own_columns()).with_columns(_cell_columns())
    rows = rows.with_columns(_own_hazards(rows))
    return rows.select("invoice_id", *(pl.col(name).cast(pl.Float64) for name in COLUMNS))


def _own_hazards(rows: pl.DataFrame) -> list[pl.Series]:
    """The customer's hazard of each step, pulled to the portfolio's, that to the plain prior's."""
    settled = rows["settled_count"].fill_null(0).to_numpy()
    own_weight = np.minimum(settled, OWN_INVOICES).astype(np.float64)
    all_weight = rows["all_settled"].clip(0, ALL_INVOICES).fill_null(0).to_numpy()
    everyone = _hazards(_matrix(rows["all_delays"]), all_weight, _prior_hazards())
    own = _hazards(_matrix(rows["own_delays"]), own_weight, everyone)
    return [pl.Series(name, own[:, step]) for step, name in enumerate(OWN_HAZARDS)]


def _matrix(lists: pl.Series) -> np.ndarray:
    """Lists of ``STEPS + 1`` shares as rows; an absent list is zeros: nothing was seen."""
    values = np.zeros((len(lists), STEPS + 1))
    seen = lists.is_not_null().to_numpy()
    values[seen] = lists.drop_nulls().explode().to_numpy().reshape(-1, STEPS + 1)
    return values


def _hazards(shares: np.ndarray, weight: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Hazard by step of a distribution worth ``weight`` invoices, pulled ``towards`` another."""
    counts = shares * weight[:, None]
    at_risk = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    pulled = (counts + HAZARD_WEIGHT * towards) / (at_risk + HAZARD_WEIGHT)
    return np.concatenate([pulled[:, :STEPS], np.ones((len(pulled), 1))], axis=1)


def _prior_hazards() -> np.ndarray:
    """What is assumed of a company without any payment: 70 % by the due date, halving weekly."""
    edges = np.array(EDGES, dtype=np.float64)
    early = (1 - PRIOR_LATE_RATE) * np.clip((edges + 15) / 15, 0.0, 1.0)
    late = PRIOR_LATE_RATE * (1 - 0.5 ** (np.maximum(edges, 0.0) / 7))
    reached = early + late
    before = np.concatenate([[0.0], reached[:-1]])
    return np.append((reached - before) / (1 - before), 1.0)


def _days_since(column: str) -> pl.Expr:
    return (pl.col("issued_on") - pl.col(column)).dt.total_days()


def _own_columns() -> list[pl.Expr]:
    """Figures of the draft and of the customer as a whole."""
    settled = pl.col("settled_count")
    mean = pl.col("delay_sum") / settled
    variance = pl.col("delay_square_sum") / settled - mean * mean
    overdue = pl.col("overdue_count") > 0
    mean_log_amount = pl.col("log_amount_sum") / pl.col("issued_count")
    epoch_day = pl.col("issued_on").to_physical().cast(pl.Float64)
    due_mean = pl.col("overdue_due_sum") / pl.col("overdue_count")
    return [
        (pl.col("due_on") - pl.col("issued_on")).dt.total_days().alias("terms_days"),
        pl.col("weekday").alias("due_weekday"),
        pl.col("due_on").dt.day().alias("due_month_day"),
        pl.col("issued_on").dt.weekday().alias("issued_weekday"),
        (pl.col("log_amount") - mean_log_amount).alias("relative_amount"),
        # Capped: a count that only grows with the calendar takes values in service never learnt.
        _days_since("first_issued_on").clip(0, 90).alias("tenure_days"),
        pl.col("known_count").clip(0, 60).alias("known_count"),
        _days_since("last_issued_on").alias("days_since_issue"),
        _pulled("late_count", "known_count", PRIOR_WEIGHT, pl.col("all_late_rate"), "late_rate"),
        (pl.col("late5_count") / settled).alias("late5_rate"),
        _pulled("delay_sum", "settled_count", PRIOR_WEIGHT, pl.col("all_delay_mean"), "delay_mean"),
        variance.clip(0).sqrt().alias("delay_deviation"),
        _days_since("last_settled_on").alias("days_since_settled"),
        (pl.col("overdue_amount") / pl.col("open_amount").clip(1)).alias("overdue_share"),
        pl.when(overdue).then(epoch_day - due_mean).alias("overdue_age"),
        pl.when(overdue).then(_days_since("overdue_on")).alias("overdue_newest_age"),
        (pl.col("open_amount") / mean_log_amount.exp()).alias("open_load"),
        *(
            ((pl.col(f"{name}_count") + 0.2 * PRIOR_WEIGHT) / (settled + PRIOR_WEIGHT)).alias(name)
            for name in WEEKDAY_SHARES
        ),
    ]


def _pulled(part: str, whole: str, weight: float, towards: pl.Expr, name: str) -> pl.Expr:
    """``part / whole`` with ``weight`` pseudo-observations at ``towards``."""
    count = pl.col(whole).fill_null(0)
    return ((pl.col(part).fill_null(0) + weight * towards) / (count + weight)).alias(name)


def _cell_columns() -> list[pl.Expr]:
    """Figures of the draft's own weekday and amount band."""
    at = {cell: pl.col(cell) - 1 for cell in ("weekday", "band")}

    def cell_value(cell: str, name: str) -> pl.Expr:
        return pl.col(f"{cell}_{name}").list.get(at[cell])

    def pulled(cell: str, part: str, whole: str, towards: str) -> pl.Expr:
        count = cell_value(cell, whole).fill_null(0)
        total = cell_value(cell, part).fill_null(0)
        return (total + CELL_WEIGHT * pl.col(towards)) / (count + CELL_WEIGHT)

    everyone_late = cell_value("weekday", "all_late").fill_null(0)
    everyone_known = cell_value("weekday", "all_known").fill_null(0)
    return [
        pulled("weekday", "late", "known", "late_rate").alias("weekday_late_rate"),
        pulled("weekday", "delay", "settled", "delay_mean").alias("weekday_delay"),
        cell_value("weekday", "late_fast").alias("weekday_late_rate_fast"),
        cell_value("weekday", "fast").alias("weekday_delay_fast"),
        cell_value("band", "late_fast").alias("band_late_rate_fast"),
        pulled("band", "late", "known", "late_rate").alias("band_late_rate"),
        pulled("band", "delay", "settled", "delay_mean").alias("band_delay"),
        ((everyone_late + 10 * pl.col("all_late_rate")) / (everyone_known + 10)).alias(
            "portfolio_weekday_late_rate"
        ),
    ]
