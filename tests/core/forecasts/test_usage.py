"""Expected usage on inputs whose answer is known."""

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from prebill.core.forecasts.usage import DAYS, ENDED_WEEKS, expected_usage

AS_OF = date(2026, 10, 1)
END = date(2026, 11, 1)
DAYS_OF_OCTOBER = 31


def used(
    days: int,
    *,
    quantity: Callable[[int], float] = lambda _: 10.0,
    customer: str = "C1",
    aggregation: str = "sum",
) -> pl.DataFrame:
    """Usage of each of the last days before AS_OF; ``quantity`` of the days before it."""
    rows = [
        (customer, "calls", aggregation, AS_OF - timedelta(days=back), quantity(back))
        for back in range(days, 0, -1)
    ]
    return pl.DataFrame(rows, schema=DAYS, orient="row")


def october(days: pl.DataFrame) -> pl.DataFrame:
    return expected_usage(days, as_of_on=AS_OF, start_on=AS_OF, end_on=END)


def test_a_steady_meter_is_expected_to_go_on() -> None:
    found = october(used(200)).row(0, named=True)
    assert 10.0 * DAYS_OF_OCTOBER == pytest.approx(found["expected"])
    assert ("model", 1.0, None) == (found["basis"], found["season"], found["low"])


def test_fewer_than_twelve_weeks_are_their_median() -> None:
    def growing(back: int) -> float:
        return 10.0 if back > 14 else 20.0

    # Eleven whole weeks and the part of one, which is left out.
    found = october(used(7 * 11 + 3, quantity=growing)).row(0, named=True)
    assert ("median", 11) == (found["basis"], found["weeks"])
    assert 10.0 * DAYS_OF_OCTOBER == pytest.approx(found["expected"])
    assert "model" == october(used(7 * 12 + 3, quantity=growing))["basis"][0]


def test_a_level_is_no_sum_of_days() -> None:
    stored = used(200, quantity=lambda back: 300.0 - back / 2, aggregation="max")
    expected = october(stored)["expected"][0]
    # It grew by half a unit a day up to 299.5, and does so for another month.
    assert 300.0 < expected < 320.0
    young = october(used(20, quantity=lambda back: 300.0 - back, aggregation="latest"))
    assert ("last", 299.0) == young.select("basis", "expected").row(0)


def test_what_is_used_no_more_is_not_expected() -> None:
    ended = used(300).filter(pl.col("used_on") < AS_OF - timedelta(weeks=ENDED_WEEKS))
    assert october(ended).is_empty()
    assert october(used(200).clear()).is_empty()


def test_later_days_change_nothing() -> None:
    noise = np.random.default_rng(1).lognormal(2.0, 0.3, 500)
    known = pl.concat(
        used(
            400, quantity=lambda back, s=start: float(noise[(back + s) % 500]), customer=f"C{start}"
        )
        for start in range(40)
    )
    later = known.with_columns(
        used_on=pl.col("used_on") + timedelta(days=400), value=pl.col("value") * 50
    )
    found = october(known)
    assert found["low"].null_count() == 0
    assert found.equals(october(pl.concat([later, known])))


def test_everybodys_move_of_last_year_is_taken_over() -> None:
    def seasonal(back: int) -> float:
        # Last year's October, 364 days before, was twice as high as its September.
        return 20.0 if 364 - DAYS_OF_OCTOBER < back <= 364 else 10.0

    many = pl.concat(used(400, quantity=seasonal, customer=f"C{n:02}") for n in range(60))
    found = october(many)
    assert 2.0 == pytest.approx(found["season"][0])
    assert 20.0 * DAYS_OF_OCTOBER == pytest.approx(found["expected"][0])
    few = october(many.filter(pl.col("customer_id") < "C10"))
    assert 1.0 == few["season"][0]
    # A year that isn't known to its first week is no year.
    young = october(many.filter(pl.col("used_on") > AS_OF - timedelta(days=364 + 20)))
    assert 1.0 == young["season"][0]


def test_interval_is_that_of_the_errors_a_period_earlier() -> None:
    draw = np.random.default_rng(3)
    level = draw.lognormal(0.0, 0.2, (300, 2))
    # September and what comes after differ from the level before by a factor of their own.
    many = pl.concat(
        used(
            300,
            quantity=lambda back, n=number: 100.0 * (level[n, 0] if back <= 31 else 1.0),
            customer=f"C{number:03}",
        )
        for number in range(300)
    )
    found = october(many).select(low=pl.col("low") / pl.col("expected")).unique()
    assert np.exp(-1.2816 * 0.2) == pytest.approx(found["low"][0], rel=0.1)
    actual = (
        many.filter(pl.col("used_on") >= date(2026, 9, 1))
        .group_by("customer_id")
        .agg(actual=pl.col("value").sum())
    )
    september = expected_usage(
        many, as_of_on=date(2026, 9, 1), start_on=date(2026, 9, 1), end_on=AS_OF
    )
    assert actual.height == september.height
