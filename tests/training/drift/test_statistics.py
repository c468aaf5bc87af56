"""Bins, clustered calibration and simulated bands on inputs whose answer is known."""

import numpy as np
import polars as pl
import pytest

from training.drift.statistics import bin_edges, binned, calibration_gap, share_band


def test_bins_are_the_distinct_quantiles_of_the_reference() -> None:
    reference = pl.DataFrame({"a": [float(number) for number in range(101)], "b": [0.0] * 101})
    edges = bin_edges(reference, {"a": (0.25, 0.5, 0.75), "b": (0.25, 0.5, 0.75)})
    assert {"a": (25.0, 50.0, 75.0), "b": (0.0,)} == edges


def test_a_value_on_an_edge_is_in_the_lower_bin_and_null_in_none() -> None:
    rows = pl.DataFrame({"a": [-1.0, 2.0, 2.5, 9.0, None]})
    expected = ["01: up to 2", "01: up to 2", "02: 2 to 5", "03: above 5", None]
    assert expected == binned(rows, {"a": (2.0, 5.0)})["a"].to_list()


def test_gap_of_lonely_rows_is_the_binomial_one() -> None:
    rows = pl.DataFrame(
        {"p": [0.5] * 400, "y": [1.0, 0.0, 1.0, 1.0] * 100, "c": [str(n) for n in range(400)]}
    )
    gap = calibration_gap(rows, "p", "y", "c")
    assert (0.75, 0.5) == (gap.observed, gap.predicted)
    # Standard error of a mean: sqrt(.75 * .25 / (n - 1)).
    assert gap.standard_error == pytest.approx((0.75 * 0.25 / 399) ** 0.5)
    assert gap.z == pytest.approx(0.25 / gap.standard_error)


def test_rows_of_one_customer_are_one_witness() -> None:
    outcome = [1.0, 0.0, 1.0, 1.0] * 25
    alone = pl.DataFrame({"p": [0.5] * 100, "y": outcome, "c": [str(n) for n in range(100)]})
    # Each row four times under one customer: no more is known than before.
    fourfold = pl.concat([alone] * 4)
    one, many = (calibration_gap(rows, "p", "y", "c") for rows in (alone, fourfold))
    assert many.z == pytest.approx(one.z)
    assert calibration_gap(alone.with_columns(c=pl.lit("x")), "p", "y", "c").z is None


def test_z_of_a_right_model_with_habits_of_customers_is_about_standard_normal() -> None:
    draw = np.random.default_rng(5)
    found = []
    for _ in range(300):
        late = np.repeat(draw.random(100) < 0.4, 5)  # a customer is late with all or none
        cluster = np.repeat(np.arange(100), 5)
        rows = pl.DataFrame({"p": 0.4, "y": late.astype(float), "c": cluster})
        found.append(calibration_gap(rows, "p", "y", "c").z or 0.0)
    assert np.std(found) == pytest.approx(1.0, abs=0.15)


def test_band_covers_windows_of_the_reference_and_not_twice_its_share() -> None:
    draw = np.random.default_rng(2)
    reference = pl.DataFrame(
        {"held": draw.random(6_000) < 0.02, "c": [str(n) for n in range(6_000)]}
    )
    band = share_band(reference, "held", "c", rows=1_000, part=0.99, seed=3)
    inside = [band.low <= draw.binomial(1_000, 0.02) / 1_000 <= band.high for _ in range(500)]
    assert np.mean(inside) > 0.95
    assert band.low < band.share < band.high < 0.04


def test_band_is_wider_where_customers_are_held_together() -> None:
    held = np.repeat(np.random.default_rng(4).random(300) < 0.1, 10)
    alone = pl.DataFrame({"held": held, "c": [str(n) for n in range(3_000)]})
    together = alone.with_columns(c=pl.Series([str(n // 10) for n in range(3_000)]))
    one, many = (
        share_band(rows, "held", "c", rows=500, part=0.99, seed=1) for rows in (alone, together)
    )
    assert many.high - many.low > 2 * (one.high - one.low)


def test_what_never_happened_is_rare_and_not_impossible() -> None:
    reference = pl.DataFrame({"held": [False] * 2_000, "c": [str(n) for n in range(2_000)]})
    band = share_band(reference, "held", "c", rows=500, part=0.99, seed=1)
    assert 1 / 500 <= band.high < 0.02
