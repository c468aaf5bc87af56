"""Noisy usage, simulated: monthly invoices over daily usage that jumps about.

Stylised facts it is made from, no data: sizes and daily quantities are heavy-tailed, offices rest
at weekends, load is bursty at every scale (Leland et al. 1994 on network traffic; Reiss et al. 2012
and Cortez et al. 2017 on cloud workloads). The scatter is tuned so that two simple judges, a robust
z and a forest on raw amounts, do as badly as was published for a real series of this kind.
"""

from datetime import date
from typing import Final

import numpy as np

from tests.benchmarks.detection.invoicing import (
    PLACES,
    Company,
    Floats,
    Plan,
    Truths,
    Whole,
    month_edges,
    series_of,
)
from tests.benchmarks.detection.series import Series
from tests.benchmarks.detection.terms import benign, lifetimes, plan_walk

CUSTOMERS: Final = 700
START_ON: Final = date(2024, 1, 1)
MONTHS: Final = 24
HELD_OUT_FROM: Final = date(2025, 8, 1)
PLANS: Final = (
    Plan(4_900, {"requests": 4_000, "storage": 90_000}),
    Plan(9_900, {"requests": 3_500, "storage": 80_000}),
    Plan(24_900, {"requests": 3_000, "storage": 70_000}),
)
#: Usual requests and stored units a day on each plan.
LEVELS: Final = {"requests": (1_200.0, 3_000.0, 8_000.0), "storage": (12.0, 30.0, 80.0)}
#: Scatter of log quantities, the knobs of difficulty: between customers' months, day to day.
MONTH_SCATTER: Final = 0.08
DAY_SCATTER: Final = 0.3
#: Real bursts: chance a customer and month, and the most that a day is multiplied with.
BURST_CHANCE: Final = 0.07
BURST_FACTOR: Final = 6.0
SIZE_SCATTER: Final = 0.4
NOISE_RANGE: Final = 0.35
DRIFT_SHARE: Final = 0.12
STEPS_A_MONTH: Final = 0.003
PLAN_CHANGES_A_MONTH: Final = 0.01
SERVICES_A_MONTH: Final = 0.006
CHURN_A_MONTH: Final = 0.005
_WEEKS: Final = np.array(
    [[1.2, 1.25, 1.2, 1.15, 1.0, 0.12, 0.08], [0.9, 0.9, 0.95, 1.0, 1.1, 1.2, 0.95], [1.0] * 7]
)


def make(seed: int) -> Series:
    """Draw a company, its two years of invoices and what in them is odd though right."""
    rng = np.random.default_rng([seed, 1])
    edges = month_edges(START_ON, MONTHS)
    first_day, last_day = lifetimes(
        rng, CUSTOMERS, last=edges[-1], share_at_start=0.75, daily_churn=CHURN_A_MONTH / 30
    )
    start_plan = rng.choice(len(PLANS), CUSTOMERS, p=(0.5, 0.35, 0.15))
    plan, next_plan = plan_walk(rng, start_plan, MONTHS, PLAN_CHANGES_A_MONTH, len(PLANS))
    drift, drifting_from = _drift(rng, edges)
    steps = _steps(rng, edges)
    days = np.arange(edges[-1])
    active = (days >= first_day[:, None]) & (days < last_day[:, None])
    log_activity = drift + steps
    requests = _requests(rng, start_plan, log_activity, edges)
    storage = _storage(rng, start_plan, log_activity)
    has_storage = rng.random(CUSTOMERS) < 0.6
    company = Company(
        start_on=START_ON,
        edges=edges,
        place=rng.choice(len(PLACES), CUSTOMERS, p=[place[3] for place in PLACES]),
        first_day=first_day,
        last_day=last_day,
        plan=plan,
        next_plan=next_plan,
        change_day=rng.integers(1, 28, plan.shape),
        permille=_permille(rng, first_day, edges),
        daily={"requests": requests * active, "storage": storage * active * has_storage[:, None]},
        records={
            "requests": rng.choice([1, 2, 4], CUSTOMERS),
            "storage": has_storage.astype(np.int64),
        },
        service_minor=_services(rng, plan),
    )
    return series_of(
        rng,
        company,
        PLANS,
        name="noisy usage",
        held_out_from=HELD_OUT_FROM,
        benign=benign(company, drifting_from),
    )


def _permille(rng: np.random.Generator, first_day: Whole, edges: Whole) -> Whole:
    """A third pays less than the list; at each anniversary a third of all pays 3 to 7 % more."""
    share = np.where(rng.random(CUSTOMERS) < 0.33, rng.choice([900, 850, 800], CUSTOMERS), 1000)
    joined = np.searchsorted(edges, first_day, side="right") - 1
    joined = np.where(first_day == 0, rng.integers(0, 12, CUSTOMERS), joined)
    periods = np.arange(len(edges) - 1)
    is_renewal = (periods - joined[:, None]) % 12 == 0
    is_renewal &= (periods > joined[:, None]) & (rng.random((CUSTOMERS, 1)) < 0.33)
    rise = np.where(is_renewal, 1 + rng.choice([0.03, 0.05, 0.07], (CUSTOMERS, 1)), 1.0)
    return np.rint(share[:, None] * rise.cumprod(axis=1)).astype(np.int64)


def _drift(rng: np.random.Generator, edges: Whole) -> tuple[Floats, Whole]:
    """Some grow or shrink steadily, 4 to 11 % a month, from some day of the second year on."""
    days = np.arange(edges[-1])
    drifts = rng.random(CUSTOMERS) < DRIFT_SHARE
    start = rng.integers(edges[12], edges[19], CUSTOMERS)
    slope = rng.uniform(0.04, 0.11, CUSTOMERS) * np.where(rng.random(CUSTOMERS) < 0.6, 1, -1)
    everybody = rng.normal(0.008, 0.012, CUSTOMERS)[:, None] * days / 30
    own = np.where(drifts, slope, 0.0)[:, None] * np.maximum(days - start[:, None], 0) / 30
    # A month of drift must have passed before it is called one.
    return everybody + own, np.where(drifts, start + 30, edges[-1])


def _steps(rng: np.random.Generator, edges: Whole) -> Floats:
    """Lasting changes of level on some day: a product launched, a department gone."""
    hit = rng.random((CUSTOMERS, edges[-1])) < STEPS_A_MONTH / 30
    steps: Floats = np.where(hit, rng.normal(0.1, 0.55, hit.shape), 0.0).cumsum(axis=1)
    return steps


def _requests(rng: np.random.Generator, plan: Whole, log_activity: Floats, edges: Whole) -> Whole:
    """Weekdays, holidays, months and days that scatter, bursts, and days without any."""
    shape = log_activity.shape
    days = np.arange(shape[1])
    size = np.array(LEVELS["requests"])[plan] * rng.lognormal(0, SIZE_SCATTER, CUSTOMERS)
    noise = rng.lognormal(0, NOISE_RANGE, CUSTOMERS)[:, None]
    month = np.searchsorted(edges, days, side="right") - 1
    monthly = MONTH_SCATTER * noise * rng.standard_t(3, (CUSTOMERS, len(edges)))[:, month]
    daily = DAY_SCATTER * noise * 0.5 * rng.standard_t(3, shape)
    week = _WEEKS[rng.choice(3, CUSTOMERS, p=(0.5, 0.2, 0.3))][:, (days + START_ON.weekday()) % 7]
    values = size[:, None] * week * _holidays(days)
    values = values * np.exp(log_activity + np.clip(monthly + daily, -4, 4))
    values = values * _bursts(rng, shape)
    idle = rng.random(shape) < np.where(plan == 0, rng.uniform(0, 0.25, CUSTOMERS), 0.0)[:, None]
    idle |= _outages(rng, shape)
    return np.rint(np.where(idle, 0.0, values)).astype(np.int64)


def _storage(rng: np.random.Generator, plan: Whole, log_activity: Floats) -> Whole:
    """A gauge read once a day: a slow walk; for one in ten it stands still for weeks."""
    size = np.array(LEVELS["storage"])[plan] * rng.lognormal(0, 0.7, CUSTOMERS)
    moves = rng.standard_t(3, log_activity.shape) * 0.012
    moves[rng.random(CUSTOMERS) < 0.1] = 0.0
    values = size[:, None] * np.exp(0.4 * log_activity + moves.cumsum(axis=1))
    return np.maximum(np.rint(values), 1).astype(np.int64)


def _holidays(days: Whole) -> Floats:
    dates = np.datetime64(START_ON) + days
    year_day = (dates - dates.astype("datetime64[Y]")).astype(int)
    is_august = dates.astype("datetime64[M]").astype(int) % 12 == 7
    factors: Floats = np.where((year_day < 1) | (year_day > 356), 0.45, np.where(is_august, 0.9, 1))
    return factors


def _bursts(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Real campaigns and batch jobs: one to five days at a multiple."""
    begins = rng.random(shape) < BURST_CHANCE / 30
    length = rng.integers(1, 6, shape)
    factor = np.where(begins, rng.uniform(2.0, BURST_FACTOR, shape), 1.0)
    result = factor.copy()
    for later in range(1, 5):
        lasting = np.where(length[:, :-later] > later, factor[:, :-later], 1.0)
        result[:, later:] = np.maximum(result[:, later:], lasting)
    return result


def _outages(rng: np.random.Generator, shape: tuple[int, ...]) -> Truths:
    """Days on which a customer really used nothing: an outage, a move, a company's holiday."""
    begins = rng.random(shape) < 0.02 / 30
    result = begins.copy()
    for later in range(1, 5):
        result[:, later:] |= begins[:, :-later]
    return result


def _services(rng: np.random.Generator, plan: Whole) -> Whole:
    """One-off work, a third to three times the base fee."""
    hit = rng.random((CUSTOMERS, MONTHS)) < SERVICES_A_MONTH
    base = np.array([one.base_minor for one in PLANS])[plan]
    return np.where(hit, base * rng.integers(3, 30, hit.shape) // 10, 0)
