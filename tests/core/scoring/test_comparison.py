"""Paired comparison: customers are drawn, not rows; slices with few rows are not judged."""

import doctest

import numpy as np
import polars as pl
import pytest

from prebill.core.scoring import comparison
from prebill.core.scoring.comparison import by_slice, interval, paired


def losses(customers: int, rows_each: int, seed: int = 1) -> pl.DataFrame:
    """Rows of a customer are alike: all of them better, or all worse."""
    rng = np.random.default_rng(seed)
    saved = np.repeat(rng.normal(0.01, 0.1, customers), rows_each)
    before = rng.random(customers * rows_each)
    names = [f"C{number:04}" for number in range(customers) for _ in range(rows_each)]
    return pl.DataFrame({"customer_id": names, "before": before, "after": before - saved})


def test_doctests() -> None:
    assert doctest.testmod(comparison).failed == 0


def test_gain_is_the_mean_loss_saved() -> None:
    given = losses(50, 3)
    gain = paired(given, seed=1)
    assert gain.gain == pytest.approx((given["before"] - given["after"]).mean())
    assert gain.low < gain.gain < gain.high
    assert (gain.rows, gain.customers) == (150, 50)


def test_rows_of_one_customer_prove_little() -> None:
    few = losses(20, 200)
    alone = few.with_columns(customer_id=pl.int_range(pl.len()).cast(pl.String))
    together, apart = paired(few, seed=1), paired(alone, seed=1)
    assert together.high - together.low > 5 * (apart.high - apart.low)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        gain = paired(losses(40, 5, seed=seed), seed=seed, draws=300)
        covered += gain.low <= 0.01 <= gain.high
    assert 0.88 <= covered / 200 <= 0.98


def test_weights_undo_a_stratified_sample() -> None:
    rng = np.random.default_rng(3)
    whole = losses(4_000, 1).with_columns(is_rare=pl.Series(rng.random(4_000) < 0.2))
    whole = whole.with_columns(after=pl.when("is_rare").then("before").otherwise("after"))
    truth = paired(whole, seed=1).gain
    chance = pl.when("is_rare").then(0.9).otherwise(0.1)
    sampled = whole.with_columns(weight=1.0 / chance).filter(pl.Series(rng.random(4_000)) < chance)
    weighed = paired(sampled, seed=1)
    assert weighed.low <= truth <= weighed.high
    plain = paired(sampled.drop("weight"), seed=1)
    assert abs(weighed.gain - truth) < abs(plain.gain - truth)


def test_equal_seed_gives_an_equal_interval() -> None:
    given = losses(30, 2)
    assert paired(given, seed=5) == paired(given, seed=5)
    assert paired(given, seed=5).low != paired(given, seed=6).low


def test_no_row_gives_no_figure() -> None:
    assert np.isnan(paired(losses(2, 1).clear(), seed=1).gain)


def test_one_customer_has_no_spread() -> None:
    low, high = interval(np.array([3.0]), np.array([2.0]), seed=1)
    assert low == high == 1.5


def test_slices_are_compared_one_by_one_and_small_ones_not_judged() -> None:
    given = losses(60, 2).with_columns(
        size=pl.when(pl.int_range(pl.len()) < 100).then(pl.lit("large")).otherwise(pl.lit("small"))
    )
    found = by_slice(given, ["size"], least_rows=50, seed=1)
    assert found.select("value", "rows", "is_judged").rows() == [
        ("large", 100, True),
        ("small", 20, False),
    ]
    large = paired(given.filter(size="large"), seed=1)
    assert found["gain"][0] == pytest.approx(large.gain)
