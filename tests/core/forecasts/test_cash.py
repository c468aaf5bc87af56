"""Cash by week where the probabilities are known, and the invoices to come."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from prebill.core.forecasts.cash import Receivables, cash_by_week, invoices_to_come
from prebill.core.schemas.inbound import INVOICES

AS_OF = date(2026, 10, 5)
EDGES = (-20, 0, 7, 14, 90)
NOTHING = pl.DataFrame(
    schema={"currency": pl.String(), "issued_on": pl.Date(), "total_minor": pl.Int64()}
)


def opened(
    due_on: date, shares: list[float], *, customer: str = "C1", amount: int = 1_000
) -> Receivables:
    rows = pl.DataFrame(
        {
            "customer_id": [customer],
            "currency": ["EUR"],
            "due_on": [due_on],
            "open_minor": [amount],
            "cycle": [0],
        }
    )
    return Receivables(rows, np.array([shares]), EDGES)


def forecast(*given: Receivables, weeks: int = 3) -> pl.DataFrame:
    whole = Receivables(
        pl.concat(one.rows for one in given),
        np.concatenate([one.open_shares for one in given]),
        EDGES,
    )
    return cash_by_week(whole, NOTHING, as_of_on=AS_OF, weeks=weeks, seed=1)


def test_an_invoice_due_yesterday_is_paid_as_its_hazard_says() -> None:
    # Open at the due date .8, a week later .4, two weeks later .2: known to be open today.
    found = forecast(opened(AS_OF - timedelta(days=1), [1.0, 0.8, 0.4, 0.2, 0.1]), weeks=2)
    expected = [1_000 * (0.8 - 0.4) / 0.8, 1_000 * (0.4 - 0.2) / 0.8]
    assert expected == pytest.approx(found["expected"].to_list(), rel=0.01)
    assert [0.0, 0.0] == found["from_new"].to_list()


def test_days_inside_a_step_lie_on_a_straight_line() -> None:
    given = opened(AS_OF, [1.0, 0.8, 0.4, 0.2, 0.1])
    days = np.array([[-30.0, -20.0, 0.0, 3.5, 14.0, 52.0, 400.0]])
    expected = [1.0, 1.0, 0.8, 0.6, 0.2, 0.15, 0.1]
    assert expected == pytest.approx(given.open_after(days)[0].tolist())


def test_one_customers_invoices_are_paid_together() -> None:
    shares = [1.0, 0.5, 0.2, 0.1, 0.1]
    together = forecast(*(opened(AS_OF, shares, customer="C1") for _ in range(30)))
    apart = forecast(*(opened(AS_OF, shares, customer=f"C{number}") for number in range(30)))
    assert together["expected"][0] == pytest.approx(apart["expected"][0], rel=0.01)
    widths = [(frame["high"] - frame["low"])[0] for frame in (together, apart)]
    assert widths[0] > 2 * widths[1]


def test_equal_seed_gives_equal_figures_and_currencies_are_apart() -> None:
    given = opened(AS_OF, [1.0, 0.5, 0.2, 0.1, 0.1])
    other = Receivables(
        given.rows.with_columns(currency=pl.lit("USD"), open_minor=pl.lit(5_000, pl.Int64)),
        given.open_shares,
        EDGES,
    )
    found = forecast(given, other)
    assert found.equals(forecast(given, other))
    assert {"EUR": 3, "USD": 3} == dict(found.group_by("currency").len().iter_rows())
    totals = dict(found.group_by("currency").agg(pl.col("expected").sum()).iter_rows())
    assert totals["EUR"] <= 1_000 < totals["USD"] <= 5_000


def test_what_is_long_overdue_brings_no_cash_by_itself() -> None:
    found = forecast(opened(AS_OF - timedelta(days=200), [1.0, 0.8, 0.4, 0.2, 0.1]))
    assert [0.0] * 3 == found["expected"].to_list()


def billed(days: list[date], terms: int = 14) -> pl.DataFrame:
    rows = pl.DataFrame(
        {
            "invoice_id": [f"I{number}" for number in range(len(days))],
            "customer_id": "C1",
            "currency": "EUR",
            "issued_on": pl.Series(days, dtype=pl.Date),
            "total_minor": pl.Series([1_000] * len(days), dtype=pl.Int64),
        }
    )
    return INVOICES.conform(rows.with_columns(due_on=pl.col("issued_on") + timedelta(days=terms)))


def test_monthly_billing_comes_again_on_its_day_of_the_month() -> None:
    months = [date(2026, month, 3) for month in range(1, 11)]
    found = invoices_to_come(billed(months), as_of_on=AS_OF, weeks=8)
    assert {date(2026, 11, 3)} == {*found["issued_on"]}
    assert {date(2026, 11, 17)} == {*found["due_on"]}
    assert [1, 2, 3] == found["cycle"].sort().to_list()


def test_other_billing_comes_again_on_its_weekday() -> None:
    days = [AS_OF - timedelta(days=back) for back in range(1, 200) if back % 7 in (0, 3)]
    found = invoices_to_come(billed(days), as_of_on=AS_OF, weeks=6)
    assert {day.weekday() for day in days} == {day.weekday() for day in found["issued_on"]}
    assert AS_OF <= found["issued_on"].min()
    assert found["issued_on"].max() < AS_OF + timedelta(weeks=6)
    # Two a week for six weeks, once for each of the three cycles repeated.
    assert {1: 12, 2: 12, 3: 12} == dict(found.group_by("cycle").len().iter_rows())


def test_invoices_to_come_are_paid_and_follow_the_level_of_billing() -> None:
    days = [AS_OF - timedelta(days=back) for back in range(1, 364)]
    past = billed(days, terms=0)
    level = pl.when(pl.col("issued_on") >= AS_OF - timedelta(days=84)).then(3_000).otherwise(1_000)
    level = level.cast(pl.Int64)
    coming = invoices_to_come(past.with_columns(total_minor=level), as_of_on=AS_OF, weeks=4)
    rows = coming.select(
        "customer_id", "currency", "due_on", open_minor=pl.col("total_minor"), cycle="cycle"
    )
    # Due on the day of issue and paid within a week of it.
    shares = np.tile([1.0, 1.0, 0.0, 0.0, 0.0], (rows.height, 1))
    found = cash_by_week(
        Receivables(rows, shares, EDGES),
        past.with_columns(total_minor=level).select("currency", "issued_on", "total_minor"),
        as_of_on=AS_OF,
        weeks=4,
        seed=1,
    )
    assert [7 * 3_000.0] * 2 == pytest.approx(found["from_new"].to_list()[2:], rel=0.05)
    assert found["low"][3] <= found["middle"][3] <= found["high"][3]
    assert [0.0] * 4 == found["from_open"].to_list()


def test_nothing_known_gives_no_row() -> None:
    none = INVOICES.empty()
    assert invoices_to_come(none, as_of_on=AS_OF, weeks=4).is_empty()
    rows = opened(AS_OF, [1.0] * 5).rows.clear()
    empty = Receivables(rows, np.zeros((0, 5)), EDGES)
    assert cash_by_week(empty, NOTHING, as_of_on=AS_OF, weeks=4, seed=1).is_empty()
