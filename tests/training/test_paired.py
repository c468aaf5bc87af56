"""Paired intervals: customers are drawn, both models on the same draw."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from training.paired import Judged, paired_intervals, weighted_auroc


def judged(rows: int = 600, customers: int = 60, seed: int = 1) -> Judged:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, rows)
    late = (rng.random(rows) < truth).astype(float)
    delay = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(2, 4, rows))
    noisy = np.clip(truth + rng.normal(0, 0.3, rows), 0.01, 0.99)
    return Judged(
        customer=pl.Series([f"C{n % customers}" for n in range(rows)]),
        late=late,
        delay=delay,
        chance={"good": truth, "again": truth.copy(), "noisy": noisy},
        days={"good": delay + 1, "again": delay + 1, "noisy": delay + 3},
    )


def test_weighted_auroc_is_scikit_learns() -> None:
    rng = np.random.default_rng(2)
    chance = rng.integers(0, 20, 300) / 20.0  # many ties
    late = (rng.random(300) < chance).astype(float)
    weight = rng.integers(0, 4, (3, 300)).astype(float)
    expected = [roc_auc_score(late, chance, sample_weight=one) for one in weight]
    assert weighted_auroc(chance, late, weight) == pytest.approx(expected)


def test_better_model_is_better_in_every_figure() -> None:
    found = paired_intervals([judged(seed=1), judged(seed=2)], "good", "noisy", seed=3)
    assert found["auroc"].low > 0
    assert found["brier"].high < 0
    assert found["mae_days"].difference == pytest.approx(-2)
    assert all(one.excludes_zero for one in found.values())


def test_same_model_differs_by_nothing() -> None:
    found = paired_intervals([judged()], "good", "again", seed=3)
    assert [(one.low, one.high) for one in found.values()] == [(0, 0)] * 3
    assert not found["auroc"].excludes_zero


def test_cut_without_known_delays_says_nothing_of_days() -> None:
    one = judged()
    blind = Judged(one.customer, one.late, np.full_like(one.delay, np.nan), one.chance, one.days)
    assert set(paired_intervals([blind], "good", "noisy", seed=3)) == {"auroc", "brier"}
    both = paired_intervals([blind, one], "good", "noisy", seed=3)
    assert both["mae_days"].difference == pytest.approx(-2)


def test_one_large_customer_widens_the_interval() -> None:
    one = judged(rows=900, customers=300)
    is_big = np.arange(900) < 400
    # Where the others are noisy, this customer is told as well by both.
    chance = {**one.chance, "noisy": np.where(is_big, one.chance["good"], one.chance["noisy"])}
    ids = pl.Series([f"C{n}" if n >= 400 else "BIG" for n in range(900)])
    lumped = Judged(ids, one.late, one.delay, chance, one.days)
    apart = Judged(one.customer, one.late, one.delay, chance, one.days)
    narrow = paired_intervals([apart], "good", "noisy", seed=3)["brier"]
    wide = paired_intervals([lumped], "good", "noisy", seed=3)["brier"]
    assert wide.high - wide.low > narrow.high - narrow.low
