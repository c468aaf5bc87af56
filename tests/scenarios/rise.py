"""A company in which three invoices are 40 % above the customer's trend, for three reasons.

Eighteen months of a plan with seats and calls, billed by the engine itself; every customer grows
at a pace of its own. In the present month one customer's calls jump without a reason, one has more
seats by an amendment of its contract, and some have the season that they had a year ago.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from prebill.core.calendar import Period, add_months
from prebill.core.money import DECIMAL
from prebill.core.schemas.inbound import CUSTOMERS, USAGE_EVENTS
from prebill.demo.agreements import Agreements, agreement_frames
from prebill.demo.billing import bill_month, billing_inputs
from prebill.demo.catalogue import HISTORY_START_ON, PERIOD, catalogue
from prebill.demo.faults import Frames
from prebill.demo.history import issue
from prebill.demo.tax_ids import vat_ids

CUSTOMERS_IN_ALL: Final = 90
#: The heroes of the story by number; the seasonal ones are these and those that follow.
JUMPED, AMENDED, SEASONAL = 3, 7, 60
#: How far the three are above their trend.
RISE: Final = 0.4
SEATS: Final = 10

_DAYS: Final = (PERIOD.end_on - HISTORY_START_ON).days
_OCTOBER: Final = (PERIOD.start_on - HISTORY_START_ON).days
_WEEK: Final = np.array([1.1, 1.15, 1.15, 1.1, 1.0, 0.8, 0.7])


@dataclass(frozen=True)
class Story:
    """``frames``: canonical, by name; ``expected_minor``: what the trend gives, by customer."""

    frames: Frames
    expected_minor: dict[str, int]


def customer_id(number: int) -> str:
    return f"C{number:06d}"


def story(seed: int = 1) -> Story:
    """Tell it; the amounts are exact, because the engine itself bills the trend first."""
    usual, season = _usage(seed)
    frames = {**catalogue(), **_customers(), **_agreements({})}
    plain = {**frames, "usage_events": _events(usual)}
    totals = _totals(plain)
    doubled = _totals({**plain, "usage_events": _events(_scaled(usual, JUMPED, 2.0))})
    jumped = customer_id(JUMPED)
    calls_minor = doubled[jumped] - totals[jumped]
    times = 1 + RISE * totals[jumped] / calls_minor
    more_seats = _totals({**plain, **_agreements({AMENDED: SEATS + 1})})
    amended = customer_id(AMENDED)
    seat_minor = more_seats[amended] - totals[amended]
    seats = SEATS + round(RISE * totals[amended] / seat_minor)
    told = {
        **frames,
        **_agreements({AMENDED: seats}),
        "usage_events": _events(_scaled(usual + season, JUMPED, times)),
    }
    return Story({**told, **_history(told)}, totals)


def _usage(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Calls by customer and day on their own trend, and what the season adds."""
    rng = np.random.default_rng(seed)
    days = np.arange(_DAYS)
    level = rng.lognormal(np.log(9_000), 0.25, (CUSTOMERS_IN_ALL, 1))
    growth = rng.uniform(-0.005, 0.03, (CUSTOMERS_IN_ALL, 1))
    week = _WEEK[(days + HISTORY_START_ON.weekday()) % 7]
    month = np.searchsorted(_month_starts(), days, side="right") - 1
    monthly = rng.normal(0, 0.02, (CUSTOMERS_IN_ALL, month[-1] + 1))[:, month]
    daily = rng.normal(0, 0.08, (CUSTOMERS_IN_ALL, _DAYS))
    usual = level * week * np.exp(growth * days / 30 + monthly + daily)
    # Calls beyond those included are a bit less than two thirds of an invoice.
    is_season = (days >= _OCTOBER) | ((days >= _OCTOBER - 365) & (days < _OCTOBER - 365 + 31))
    who = np.arange(CUSTOMERS_IN_ALL)[:, None] >= SEASONAL
    return np.rint(usual), np.rint(np.where(is_season & who, usual * RISE / 0.63, 0.0))


def _month_starts() -> list[int]:
    starts, month_on = [], HISTORY_START_ON
    while month_on <= PERIOD.start_on:
        starts.append((month_on - HISTORY_START_ON).days)
        month_on = add_months(month_on, 1)
    return starts


def _scaled(usage: np.ndarray, number: int, times: float) -> np.ndarray:
    """The usage with one customer's present month multiplied."""
    result = usage.copy()
    result[number, _OCTOBER:] = np.rint(result[number, _OCTOBER:] * times)
    return result


def _events(usage: np.ndarray) -> pl.DataFrame:
    number, day = np.nonzero(usage)
    midnight = pl.lit(HISTORY_START_ON) + pl.duration(days="day")
    frame = pl.DataFrame(
        {
            "number": number,
            "day": day,
            "second": 12 * 3_600 + (number * 131 + day * 17) % 3_600,
            "quantity": pl.Series(usage[number, day].astype(np.int64)).cast(DECIMAL),
        }
    )
    return USAGE_EVENTS.conform(
        frame.with_columns(
            source=pl.lit("gateway"),
            id=pl.format("{}-{}", "number", "day"),
            customer_id=pl.format("C{}", pl.col("number").cast(pl.String).str.zfill(6)),
            meter=pl.lit("api_calls"),
            occurred_at=midnight.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            + pl.duration(seconds="second"),
            unique_value=pl.lit(None, pl.String),
        )
    )


def _customers() -> Frames:
    numbers = np.arange(CUSTOMERS_IN_ALL)
    frame = pl.DataFrame(
        {
            "customer_id": [customer_id(number) for number in numbers.tolist()],
            "name": [f"Customer {number}" for number in numbers.tolist()],
            "tax_id": vat_ids("DE", numbers.astype(np.int64) * 7_919 + 1_234),
        }
    )
    return {
        "customers": CUSTOMERS.conform(
            frame.with_columns(
                country=pl.lit("DE"),
                is_business=pl.lit(value=True),
                segment=pl.lit("mid"),
                signed_up_on=pl.lit(HISTORY_START_ON),
            )
        )
    }


def _agreements(seats_now: dict[int, int]) -> Frames:
    """Contracts and what billing was told of them; ``seats_now``: number → seats by amendment."""
    contracts = pl.DataFrame({"number": range(CUSTOMERS_IN_ALL)}).with_columns(
        customer_id=pl.format("C{}", pl.col("number").cast(pl.String).str.zfill(6)),
        entity=pl.lit("DE01"),
        currency=pl.lit("EUR"),
        time_zone=pl.lit("Europe/Berlin"),
        starts_on=pl.lit(HISTORY_START_ON),
        ends_on=pl.lit(None, pl.Date),
        contract_id=pl.format("K{}", "number"),
        subscription_id=pl.format("S{}", "number"),
        terms_days=pl.lit(14),
    )
    changed = pl.col("number").is_in(list(seats_now))
    first = contracts.with_columns(
        span=pl.lit(1),
        quantity=pl.lit(SEATS, pl.Int64),
        effective_from_on=pl.col("starts_on"),
        effective_to_on=pl.when(changed).then(pl.lit(PERIOD.start_on)),
    )
    second = first.filter(changed).with_columns(
        span=pl.lit(2),
        quantity=pl.col("number").replace_strict(seats_now, default=SEATS, return_dtype=pl.Int64),
        effective_from_on=pl.lit(PERIOD.start_on),
        effective_to_on=pl.lit(None, pl.Date),
    )
    spans = pl.concat([first, second]).with_columns(
        kind=pl.lit("start"),
        version=pl.lit(2),
        discount=pl.lit(0),
        discount_ends_on=pl.lit(None, pl.Date),
        plan_id=pl.lit("team"),
    )
    return agreement_frames(
        Agreements(contracts, spans.drop("entity", "currency", "time_zone", "terms_days"))
    )


def _totals(frames: Frames) -> dict[str, int]:
    """What the engine bills in the present month, by customer."""
    billed = bill_month(billing_inputs(frames), frames["usage_events"], PERIOD)
    return dict(billed.drafts.select("customer_id", "total_minor").iter_rows())


def _history(frames: Frames) -> Frames:
    """Bill and number the months before."""
    inputs = billing_inputs(frames)
    months, start_on = [], HISTORY_START_ON
    while start_on < PERIOD.start_on:
        end_on = add_months(start_on, 1)
        months.append(bill_month(inputs, frames["usage_events"], Period(start_on, end_on)))
        start_on = end_on
    invoices, lines = issue(
        pl.concat(month.drafts for month in months), pl.concat(month.lines for month in months)
    )
    return {"invoices": invoices, "invoice_lines": lines}
