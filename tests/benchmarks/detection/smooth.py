"""Smooth weekly, simulated: weekly invoices over a regular, seasonal series with holiday peaks.

Stylised facts it is made from, no data: weekly sales of shops have a stable yearly and weekday
pattern, a scatter of a few percent, and peaks before holidays that differ by trade (Makridakis et
al. 2022 on the M5 competition). Scatter and peaks are tuned so that two simple judges do as well
as was published for a real series of this kind.
"""

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from tests.benchmarks.detection.invoicing import (
    PLACES,
    Company,
    Floats,
    Plan,
    Whole,
    billed_periods,
    series_of,
)
from tests.benchmarks.detection.series import Series
from tests.benchmarks.detection.terms import benign, lifetimes, plan_walk

CUSTOMERS: Final = 300
START_ON: Final = date(2024, 1, 1)  # a Monday
WEEKS: Final = 104
HELD_OUT_FROM: Final = date(2025, 7, 7)
PLANS: Final = (
    Plan(900, {"orders": 120_000}),
    Plan(4_900, {"orders": 110_000}),
    Plan(14_900, {"orders": 100_000}),
)
LEVELS: Final = (60.0, 100.0, 180.0)
#: The knobs of difficulty: scatter of a log week and day, and who has holiday peaks.
WEEK_SCATTER: Final = 0.004
DAY_SCATTER: Final = 0.012
WALK: Final = 0.003
SEASON: Final = 0.08
SIZE_SCATTER: Final = 0.2
COMMON_PEAK: Final = 0.03
PEAK_SHARE: Final = 0.03
PEAK_HEIGHT: Final = 0.25
DRIFT_SHARE: Final = 0.1
PLAN_CHANGES_A_WEEK: Final = 0.0003
SERVICES_A_WEEK: Final = 0.0003
CHURN_A_WEEK: Final = 0.0004
_WEEK: Final = np.array([0.9, 0.9, 0.95, 1.0, 1.15, 1.25, 0.85])
#: Middle of each holiday peak as day of the year, and its width in days.
_PEAKS: Final = ((103, 5), (332, 4), (354, 6))


def make(seed: int) -> Series:
    """Draw a company and its two years of weekly invoices."""
    rng = np.random.default_rng([seed, 2])
    edges = np.arange(WEEKS + 1) * 7
    first_day, last_day = lifetimes(
        rng, CUSTOMERS, last=edges[-1], share_at_start=0.85, daily_churn=CHURN_A_WEEK / 7
    )
    start_plan = rng.choice(len(PLANS), CUSTOMERS, p=(0.4, 0.4, 0.2))
    plan, next_plan = plan_walk(rng, start_plan, WEEKS, PLAN_CHANGES_A_WEEK, len(PLANS))
    drift, drifting_from = _drift(rng, edges)
    days = np.arange(edges[-1])
    active = (days >= first_day[:, None]) & (days < last_day[:, None])
    company = Company(
        start_on=START_ON,
        edges=edges,
        place=rng.choice(len(PLACES), CUSTOMERS, p=[place[3] for place in PLACES]),
        first_day=first_day,
        last_day=last_day,
        plan=plan,
        next_plan=next_plan,
        change_day=rng.integers(1, 7, plan.shape),
        permille=_permille(rng),
        daily={"orders": _orders(rng, start_plan, drift) * active},
        records={"orders": rng.choice([1, 2], CUSTOMERS)},
        service_minor=_services(rng),
    )
    return series_of(
        rng,
        company,
        PLANS,
        name="smooth weekly",
        held_out_from=HELD_OUT_FROM,
        benign=pl.concat([benign(company, drifting_from), _holidays(company)]),
    )


def _permille(rng: np.random.Generator) -> Whole:
    """A third pays less than the list; a quarter pays 3 to 6 % more from some week on."""
    share = np.where(rng.random(CUSTOMERS) < 0.33, rng.choice([900, 850, 800], CUSTOMERS), 1000)
    from_week = np.where(rng.random(CUSTOMERS) < 0.25, rng.integers(10, WEEKS, CUSTOMERS), WEEKS)
    rise = rng.choice([30, 45, 60], CUSTOMERS)
    is_raised = np.arange(WEEKS) >= from_week[:, None]
    return share[:, None] * (1000 + np.where(is_raised, rise[:, None], 0)) // 1000


def _drift(rng: np.random.Generator, edges: Whole) -> tuple[Floats, Whole]:
    """Some grow or shrink steadily, 1 to 3 % a week, from some week of the last year on."""
    days = np.arange(edges[-1])
    drifts = rng.random(CUSTOMERS) < DRIFT_SHARE
    start = rng.integers(edges[60], edges[95], CUSTOMERS)
    slope = rng.uniform(0.01, 0.03, CUSTOMERS) * np.where(rng.random(CUSTOMERS) < 0.6, 1, -1)
    everybody = rng.normal(0.0005, 0.001, CUSTOMERS)[:, None] * days / 7
    own = np.where(drifts, slope, 0.0)[:, None] * np.maximum(days - start[:, None], 0) / 7
    return everybody + own, np.where(drifts, start + 21, edges[-1])


def _orders(rng: np.random.Generator, plan: Whole, drift: Floats) -> Whole:
    """Year, weekday, holiday peaks, a slow walk and a few percent of scatter."""
    days = np.arange(drift.shape[1])
    size = np.array(LEVELS)[plan] * rng.lognormal(0, SIZE_SCATTER, CUSTOMERS)
    year_day = days % 365
    phase = rng.normal(200, 25, (CUSTOMERS, 1))
    season = rng.uniform(0.02, SEASON, (CUSTOMERS, 1)) * np.cos(
        2 * np.pi * (year_day - phase) / 365
    )
    has_peaks = rng.random(CUSTOMERS) < PEAK_SHARE
    height = rng.lognormal(0, 0.4, CUSTOMERS) * np.where(has_peaks, PEAK_HEIGHT, COMMON_PEAK)
    peaks = sum(np.exp(-(((year_day - middle) / width) ** 2)) for middle, width in _PEAKS)
    noise = rng.lognormal(0, 0.3, (CUSTOMERS, 1))
    weekly = np.repeat(rng.standard_t(5, (CUSTOMERS, WEEKS)), 7, axis=1) * WEEK_SCATTER * noise
    walk = np.repeat(rng.normal(0, WALK, (CUSTOMERS, WEEKS)).cumsum(axis=1), 7, axis=1)
    daily = rng.standard_normal(drift.shape) * DAY_SCATTER * noise
    log_values = drift + season + height[:, None] * peaks + weekly + walk + daily
    return np.rint(size[:, None] * _WEEK[days % 7] * np.exp(log_values)).astype(np.int64)


def _holidays(company: Company) -> pl.DataFrame:
    """Invoices of the weeks in which a peak has its middle."""
    rows = billed_periods(company)
    first = company.edges[rows["period"].to_numpy()][:, None]
    middles = np.array([middle + 365 * year for middle, _ in _PEAKS for year in range(3)])
    has_peak = ((first <= middles) & (middles < first + 7)).any(axis=1)
    return rows.filter(pl.Series(has_peak)).select("invoice_id", kind=pl.lit("holiday"))


def _services(rng: np.random.Generator) -> Whole:
    hit = rng.random((CUSTOMERS, WEEKS)) < SERVICES_A_WEEK
    return np.where(hit, rng.integers(2, 20, hit.shape) * 2_500, 0)
