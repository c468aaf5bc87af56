"""Calibration error, and what a perfect model would have by chance."""

import numpy as np
import polars as pl
import pytest

from training.calibrate import calibration_error, error_if_perfect, reliability


def test_error_is_the_gap_weighted_by_rows() -> None:
    probability = np.array([0.1] * 30 + [0.9] * 10)
    outcome = np.array([0.0] * 30 + [1.0] * 10)
    assert calibration_error(probability, outcome) == pytest.approx(0.1)
    assert reliability(probability, outcome)["rows"].to_list() == [30, 10]


def test_perfect_model_stays_within_what_chance_explains() -> None:
    rng = np.random.default_rng(1)
    probability = rng.random(4_000)
    cluster = pl.Series([str(n) for n in range(4_000)])
    bound = error_if_perfect(probability, cluster, seed=2)
    drawn = (rng.random(4_000) < probability).astype(float)
    assert calibration_error(probability, drawn) < bound
    assert calibration_error(probability, (rng.random(4_000) < 0.5).astype(float)) > bound


def test_rows_paid_together_widen_it() -> None:
    probability = np.random.default_rng(1).random(2_000)
    alone = pl.Series([str(n) for n in range(2_000)])
    together = pl.Series([str(n // 40) for n in range(2_000)])
    assert error_if_perfect(probability, together, seed=3) > error_if_perfect(
        probability, alone, seed=3
    )
