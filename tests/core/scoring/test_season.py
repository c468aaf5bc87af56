"""Season: expected as far as it explained before, excused where it stood out, else nothing."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from prebill.core.calendar import add_months
from prebill.core.scoring.features.season import Season, portfolio_moves, profile

FIRST = date(2024, 1, 1)
MEASURES = ("total",)


def monthly(*series: np.ndarray) -> pl.DataFrame:
    """One series a row of values, a month apart."""
    return pl.concat(
        pl.DataFrame(
            {
                "series": [f"S{number}"] * len(values),
                "issued_on": [add_months(FIRST, month) for month in range(len(values))],
                "total": values,
            }
        )
        for number, values in enumerate(series)
    )


def asked(history: pl.DataFrame, months: int) -> pl.DataFrame:
    names = history["series"].unique(maintain_order=True)
    return pl.DataFrame({"series": names, "as_of_on": [add_months(FIRST, months)] * len(names)})


def season(history: pl.DataFrame, months: int, deviation: float = 0.05) -> Season:
    keys = asked(history, months)
    nothing = portfolio_moves(history.clear(), MEASURES)
    return Season(profile(history, keys, MEASURES), nothing, np.full(keys.height, deviation))


def test_last_years_move_is_against_the_centre_then() -> None:
    values = np.full(22, 5.0)
    values[10] = 5.4
    found = profile(monthly(values), asked(monthly(values), 22), MEASURES)
    assert pytest.approx([0.4]) == found["total_year"].to_list()
    assert [(add_months(FIRST, 10) - date(1970, 1, 1)).days] == found["year_day"].to_list()


def test_a_year_ago_of_weekly_invoices_is_the_same_week() -> None:
    days = [FIRST.toordinal() + 7 * week for week in range(80)]
    weekly = pl.DataFrame(
        {
            "series": "S0",
            "issued_on": [date.fromordinal(day) for day in days],
            "total": np.where(np.arange(80) == 28, 6.0, 5.0),
        }
    )
    keys = pl.DataFrame({"series": ["S0"], "as_of_on": [date.fromordinal(days[0] + 7 * 80)]})
    assert pytest.approx([1.0]) == profile(weekly, keys, MEASURES)["total_year"].to_list()


@pytest.mark.parametrize(("first", "months"), [(8, 20), (0, 13)])
def test_without_a_centre_then_there_is_no_season(first: int, months: int) -> None:
    history = monthly(np.full(22, 5.0)).filter(pl.col("issued_on") >= add_months(FIRST, first))
    found = profile(history, asked(history, months), MEASURES)
    assert np.isnan(found["total_year"].to_numpy()).all()
    part = season(history, months).part_of("total", np.array([0.4]), np.array([0.05]))
    assert [0.0] == part.tolist()


def test_a_move_that_stood_out_is_excused_and_not_expected() -> None:
    values = np.full(22, 5.0)
    values[10] = 5.4
    here = season(monthly(values), 22)
    parts = [here.part_of("total", np.array([r]), np.array([0.05]))[0] for r in (0.3, 0.6, 0, -0.4)]
    assert pytest.approx([0.3, 0.4, 0.0, 0.0]) == parts


def test_noise_of_last_year_takes_nothing_off() -> None:
    values = np.full(22, 5.0)
    values[10] = 5.09
    part = season(monthly(values), 22).part_of("total", np.array([0.4]), np.array([0.05]))
    assert [0.0] == part.tolist()


def test_a_season_that_came_every_year_is_expected() -> None:
    wave = 0.3 * np.sin(2 * np.pi * np.arange(36) / 12)
    here = season(monthly(wave + 5), 36)
    assert here.explained[0] > 0.9
    # Nothing happens where the season had to: that is the deviation.
    assert here.part_of("total", np.array([0.0]), np.array([0.05]))[0] != 0


def test_what_everybody_did_last_year_is_no_season_of_ones_own() -> None:
    rng = np.random.default_rng(1)
    values = 5 + rng.normal(0, 0.01, (30, 22))
    values[:, 10] += 0.4
    history = monthly(*values)
    everybody = portfolio_moves(history, MEASURES)
    assert pytest.approx(0.4, abs=0.02) == everybody["total"].max()
    found = profile(history, asked(history, 22), MEASURES)
    here = Season(found, everybody, np.full(30, 0.05))
    assert np.abs(here.part_of("total", np.full(30, 0.4), np.full(30, 0.05))).max() < 0.01


def test_unknown_series_and_no_history_have_no_season() -> None:
    history = monthly(np.full(22, 5.0))
    other = asked(history, 22).with_columns(series=pl.lit("other"))
    for past in (history, history.clear()):
        found = profile(past, other, MEASURES)
        assert np.isnan(found["total_year"].to_numpy()).all()
        assert 1 == found.height
