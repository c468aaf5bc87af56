"""Rates of false holds with their intervals, and that the tables name what exists."""

from itertools import pairwise

import polars as pl
import pytest

from prebill.core.triage.false_holds import RATES, false_hold_rates, set_for
from prebill.core.triage.intervals import clopper_pearson
from tests.benchmarks.detection import ablation
from tests.benchmarks.false_holds import POLICY, rates_table
from tests.benchmarks.intervals import bootstrap, wilson

CLEAN = pl.DataFrame(
    {
        "action": ["hold", *["review"] * 3, *["release"] * 96],
        "currency": [*["EUR"] * 40, *["USD"] * 60],
    }
)


def test_rates_are_counted_for_all_and_per_segment() -> None:
    rates = false_hold_rates(CLEAN, {"currency": "currency"}, POLICY)
    assert RATES == rates.schema
    assert [("all", "", 100, 1), ("currency", "EUR", 40, 1), ("currency", "USD", 60, 0)] == (
        rates.select("segment", "value", "invoices", "held").rows()
    )
    whole = rates.row(0, named=True)
    assert whole["low"] < whole["rate"] == 0.01 < whole["high"]
    assert 0 < set_for(POLICY, "hold") == whole["set_for"] < set_for(POLICY, "review") < 0.1
    assert "| currency: USD | 60 | 0 | 0.00% (0.00% to 5.96%) |" in rates_table(rates)


def test_reviews_count_holds_too() -> None:
    assert 4 == false_hold_rates(CLEAN, {}, POLICY, action="review")["held"][0]


def test_intervals_are_the_textbook_ones() -> None:
    assert (0.0, pytest.approx(0.0362, abs=1e-4)) == clopper_pearson(0, 100)
    assert (pytest.approx(0.0003, abs=1e-4), pytest.approx(0.0545, abs=1e-4)) == (
        clopper_pearson(1, 100)
    )
    assert (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4)) == wilson(10, 100)
    assert (0.0, 1.0) == wilson(0, 0)


def test_bootstrap_covers_the_share_of_equal_rows() -> None:
    rows = pl.DataFrame({"caught": [1.0, 0.0] * 200, "loss": [1.0] * 400}).to_numpy()
    low, high = bootstrap(rows, lambda sums: sums[0] / sums[1])
    assert low == pytest.approx(0.45, abs=0.01)
    assert high == pytest.approx(0.55, abs=0.01)


def test_ablation_names_registered_detectors() -> None:
    steps = list(ablation.steps().values())
    assert all(set(one) < set(more) for one, more in pairwise(steps))
