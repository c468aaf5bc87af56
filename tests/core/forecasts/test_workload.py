"""Cases and hours of the next cycle."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from prebill.core.forecasts.workload import GATE, minutes_per_case, next_cycle

NO_VERDICTS = pl.DataFrame(
    schema={"entered_by": pl.String(), "entered_at": pl.Datetime("us", "UTC")}
)
START = datetime(2026, 11, 5, 9, tzinfo=UTC)


def cycles(cases: list[int], drafts: int = 1_000) -> pl.DataFrame:
    return pl.DataFrame({"drafts": [drafts] * len(cases), "cases": cases})


def verdicts(actor: str, minutes: list[float]) -> pl.DataFrame:
    times = np.cumsum(minutes)
    return pl.DataFrame(
        {
            "entered_by": [actor] * len(minutes),
            "entered_at": [START + timedelta(minutes=float(time)) for time in times],
        },
        schema=NO_VERDICTS.schema,
    )


def test_before_the_first_cycle_there_is_nothing_to_say() -> None:
    assert next_cycle(cycles([]), NO_VERDICTS, stated_minutes=6.0, seed=1) is None


def test_few_cycles_are_their_median_and_more_are_modelled() -> None:
    few = next_cycle(cycles([20, 40, 30]), NO_VERDICTS, stated_minutes=6.0, seed=1)
    assert few is not None
    assert (30.0, "median", 3) == (few.cases, few.basis, few.cycles)
    assert (3.0, few.cases_low / 10, few.cases_high / 10) == few.hours
    many = next_cycle(cycles([30] * GATE), NO_VERDICTS, stated_minutes=6.0, seed=1)
    assert many is not None
    assert (pytest.approx(30.0), "model") == (many.cases, many.basis)


def test_the_share_is_forecast_and_not_the_number() -> None:
    grown = pl.DataFrame({"drafts": [1_000] * 9 + [2_000], "cases": [30] * 9 + [60]})
    found = next_cycle(grown, NO_VERDICTS, stated_minutes=6.0, seed=1)
    assert found is not None
    assert (2_000, pytest.approx(60.0)) == (found.drafts, found.cases)


def test_interval_widens_with_what_cycles_differ_by() -> None:
    calm = next_cycle(cycles([100] * 12), NO_VERDICTS, stated_minutes=6.0, seed=1)
    wild = next_cycle(cycles([60, 140] * 6), NO_VERDICTS, stated_minutes=6.0, seed=1)
    assert calm is not None
    assert wild is not None
    # Poisson: 100 less and more than 1.28 times its standard deviation of 10.
    assert (87, 113) == pytest.approx((calm.cases_low, calm.cases_high), abs=2)
    assert wild.cases_high - wild.cases_low > 2 * (calm.cases_high - calm.cases_low)


def test_minutes_are_measured_between_verdicts_of_one_person() -> None:
    steady = verdicts("anna", [4.0] * 40)
    assert 4.0 == minutes_per_case(steady)
    # A night between two verdicts is no work on a case; two people don't interrupt each other.
    nights = verdicts("anna", [4.0] * 20 + [900.0] + [4.0] * 20)
    assert 4.0 == minutes_per_case(pl.concat([nights, verdicts("ben", [1.5] + [4.0] * 39)]))
    assert minutes_per_case(verdicts("anna", [4.0] * 20)) is None
    found = next_cycle(cycles([30]), steady, stated_minutes=6.0, seed=1)
    assert found is not None
    assert (4.0, True) == (found.minutes, found.is_measured)
