"""Calibration error, and what a perfect model would have by chance."""

import numpy as np
import polars as pl
import pytest

from training.calibrate import (
    calibration_error,
    cluster_correlation,
    error_if_perfect,
    randomised_pit,
    reliability,
)


def test_error_is_the_gap_weighted_by_rows() -> None:
    probability = np.array([0.1] * 30 + [0.9] * 10)
    outcome = np.array([0.0] * 30 + [1.0] * 10)
    assert calibration_error(probability, outcome) == pytest.approx(0.1)
    assert reliability(probability, outcome)["rows"].to_list() == [30, 10]


def test_perfect_model_stays_within_what_chance_explains() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(4_000)
    cluster = pl.Series([str(n) for n in range(4_000)])
    drawn = (rng.random(4_000) < probability).astype(float)
    bound = error_if_perfect(probability, drawn, cluster, seed=2)
    assert calibration_error(probability, drawn) < bound
    assert calibration_error(probability, (rng.random(4_000) < 0.5).astype(float)) > bound


def test_rows_paid_together_widen_it() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(2_000)
    together = np.arange(2_000) // 40
    cluster = pl.Series(together.astype(str))
    independent = (rng.random(2_000) < probability).astype(float)
    in_one_run = (rng.random(50)[together] < probability).astype(float)
    narrow = error_if_perfect(probability, independent, cluster, seed=3)
    wide = error_if_perfect(probability, in_one_run, cluster, seed=3)
    assert narrow < 0.05
    assert wide > 1.5 * narrow


def test_correlation_of_clusters_is_found_again() -> None:
    rng = np.random.default_rng(4)
    probability, group = rng.uniform(0.2, 0.8, 4_000), np.arange(4_000) // 10
    alone = (rng.random(4_000) < probability).astype(float)
    alike = (rng.random(400)[group] < probability).astype(float)
    assert cluster_correlation(probability, alone, group, rng) < 0.1
    assert cluster_correlation(probability, alike, group, rng) > 0.8


def test_randomised_pit_is_uniform_where_the_prediction_is_right() -> None:
    rng = np.random.default_rng(5)
    shares = np.array([0.0, 0.1, 0.4, 0.7, 0.95, 1.0])  # settled by day 0 to 5
    day = rng.choice(5, size=20_000, p=np.diff(shares))
    place = randomised_pit(shares[day], shares[day + 1], seed=6)
    assert np.histogram(place, 10, (0, 1))[0] / 20_000 == pytest.approx(0.1, abs=0.01)
    wrong = randomised_pit(shares[day] ** 2, shares[day + 1] ** 2, seed=6)
    assert abs(((wrong >= 0.1) & (wrong <= 0.9)).mean() - 0.8) > 0.02
