"""The limits that save most: against every possible limit, within the hours, in the same text."""

import itertools

import numpy as np
import polars as pl
import pytest
import yaml
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from prebill.bootstrap import policy_text
from prebill.core.policy.model import Policy
from prebill.core.policy.optimise import Dial, Problem, best_limits, curve, dials, rewritten, within

DIALS = [
    Dial("score", pl.col("anomaly_score"), 0.9, is_score=True),
    Dial("loss", pl.col("loss"), 100.0, is_score=False),
]
ROW = st.tuples(
    st.one_of(st.none(), st.integers(0, 1000).map(lambda part: part / 1000)),
    st.integers(0, 500).map(float),
    st.floats(0, 100),
    st.booleans(),
)


def problem(rows: list[tuple[float | None, float, float, bool]]) -> Problem:
    frame = pl.DataFrame(
        rows, schema=["anomaly_score", "loss", "worth", "is_fixed"], orient="row"
    ).with_columns(hours=pl.lit(0.1), anomaly_score=pl.col("anomaly_score").cast(pl.Float64))
    return Problem.of(frame, DIALS)


def many(seed: int = 1, rows: int = 3_000) -> Problem:
    generator = np.random.default_rng(seed)
    score, loss = generator.random(rows), generator.lognormal(3, 1.5, rows)
    worth = loss * score**4 * generator.random(rows)
    return problem(
        list(zip(score.tolist(), loss.tolist(), worth.tolist(), [False] * rows, strict=True))
    )


@settings(max_examples=40, deadline=None)
@for_all(st.lists(ROW, min_size=1, max_size=8), st.floats(0, 300))
def test_no_single_limit_does_better_at_its_price(rows: list, price: float) -> None:
    asked = problem(rows)
    best = best_limits(asked, price)
    gain = best.saved - price * best.hours
    for dial, measure in zip(asked.dials, asked.measures, strict=True):
        for limit in {*measure[~np.isnan(measure)].tolist(), 1.0 if dial.is_score else 1e6}:
            other = asked.at({**best.limits, dial.rule_id: limit})
            assert other.saved - price * other.hours <= gain + 1e-6


def test_pair_of_limits_is_as_good_as_any_pair() -> None:
    asked = many(rows=200)
    price = 40.0
    best = best_limits(asked, price)
    grids = [np.quantile(measure, np.linspace(0, 1, 60)) for measure in asked.measures]
    found = (asked.at({"score": one, "loss": two}) for one, two in itertools.product(*grids))
    most = max(point.saved - price * point.hours for point in found)
    assert best.saved - price * best.hours >= 0.98 * most


@pytest.mark.parametrize("hours", [0.0, 1.0, 20.0, 120.0, 1e6])
def test_hours_are_kept_and_used(hours: float) -> None:
    asked = many()
    point = within(asked, hours)
    assert point.hours <= hours
    if 1.0 < hours < 1e6:
        assert point.hours > 0.9 * hours


def test_curve_rises_and_each_further_hour_is_worth_less() -> None:
    points = curve(many())
    assert len(points) > 10
    rates = [(b.saved - a.saved) / (b.hours - a.hours) for a, b in itertools.pairwise(points)]
    assert all(b.saved > a.saved and b.hours > a.hours for a, b in itertools.pairwise(points))
    assert rates[0] > 3 * rates[-1]
    worths = [point.hour_worth for point in points]
    assert worths == sorted(worths, reverse=True)


def test_only_reviews_by_a_number_may_move() -> None:
    assert ["anomaly-review", "loss-review"] == [one.rule_id for one in dials(policy_text(None))]


def test_text_keeps_comments_and_order_and_reads_with_its_new_limits() -> None:
    before = policy_text(None)
    after = rewritten(before, {"anomaly-review": 0.9912, "loss-review": 1234.5}, "for 10 hours")
    changed = [
        pair
        for pair in zip(before.splitlines(), after.splitlines(), strict=True)
        if pair[0] != pair[1]
    ]
    assert ["name: for 10 hours", "at_least: 0.99120", "at_least: 1234.50"] == [
        new.strip() for _, new in changed
    ]
    assert {"review": 0.9912, "hold": 0.998} == Policy.parse(after).score_limits
    assert yaml.safe_load(after)["rules"][0] == yaml.safe_load(before)["rules"][0]
