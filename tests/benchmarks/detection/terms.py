"""Who is a simulated customer when and on which plan, and which invoices are odd though right."""

import numpy as np
import polars as pl

from tests.benchmarks.detection.invoicing import Company, Whole, billed_periods

#: A customer is called new for so long.
NEW_DAYS = 62


def lifetimes(
    rng: np.random.Generator, count: int, *, last: int, share_at_start: float, daily_churn: float
) -> tuple[Whole, Whole]:
    """First day and day after the last: some are there from the start, others join on any day."""
    is_old = rng.random(count) < share_at_start
    first = np.where(is_old, 0, rng.integers(0, last - 60, count))
    lived = 90 + rng.geometric(daily_churn, count)
    return first, np.minimum(first + lived, last)


def plan_walk(
    rng: np.random.Generator, start_plan: Whole, periods: int, chance: float, plans: int
) -> tuple[Whole, Whole]:
    """Plan at the start and at the end of each period: some move up, fewer down."""
    shape = (len(start_plan), periods)
    move = np.where(rng.random(shape) < 0.7, 1, -1) * (rng.random(shape) < chance)
    plan = np.empty(shape, dtype=np.int64)
    next_plan = np.empty_like(plan)
    current = start_plan
    for period in range(periods):
        plan[:, period] = current
        current = np.clip(current + move[:, period], 0, plans - 1)
        next_plan[:, period] = current
    return plan, next_plan


def benign(company: Company, drifting_from: Whole) -> pl.DataFrame:
    """Name the kinds of oddness of each invoice; ``drifting_from``: day, or the end for nobody."""
    rows = billed_periods(company)
    customer, period = rows["customer"].to_numpy(), rows["period"].to_numpy()
    start, end = company.edges[period], company.edges[period + 1]
    first, last = company.first_day[customer], company.last_day[customer]
    changes = company.plan != company.next_plan
    changed = changes[customer, period]
    changed |= (period > 0) & changes[customer, np.maximum(period - 1, 0)]
    before = company.permille[customer, np.maximum(period - 1, 0)]
    kinds = {
        "drift": drifting_from[customer] < end,
        "plan change": changed,
        "proration": (first > start) | (last < end),
        "price rise": company.permille[customer, period] > before,
        "one-off": company.service_minor[customer, period] > 0,
        "new customer": first > start - 62,
    }
    return pl.concat(
        rows.filter(pl.Series(is_odd)).select("invoice_id", kind=pl.lit(kind))
        for kind, is_odd in kinds.items()
    )
