"""Estimates from the random sample against a known truth, over many simulated months."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from prebill.core.policy.model import Policy
from prebill.core.triage.intervals import weighted_share
from prebill.core.triage.sample import MOST_TIMES, inverse_weights, sample_estimates, weighted_rate

POLICY = Policy.default()
MONTHS = 400
DRAFTS = 20_000


@dataclass(frozen=True, slots=True)
class Month:
    """What happened, and what the policy and its sample let one see of it."""

    truth: pl.DataFrame
    seen: pl.DataFrame

    @property
    def error_rate(self) -> float:
        return float(self.truth.filter(action="release")["wrong"].to_numpy().mean())

    @property
    def recall(self) -> float:
        wrong = self.truth.filter("wrong")
        return wrong.filter(pl.col("action") != "release").height / wrong.height


def month(rng: np.random.Generator, error_share: float) -> Month:
    """Right drafts have uniform scores; wrong ones mostly high ones, a fifth ordinary ones."""
    wrong = rng.random(DRAFTS) < error_share
    hidden = rng.random(DRAFTS) < 0.2
    uniform = rng.random(DRAFTS)
    score = np.where(wrong & ~hidden, uniform**0.02, uniform)
    truth = pl.DataFrame({"wrong": wrong, "score": score}).with_columns(
        action=pl.when(pl.col("score") >= POLICY.score_limits["review"])
        .then(pl.lit("review"))
        .otherwise(pl.lit("release")),
        chance=POLICY.sampling.propensity(pl.col("score")),
    )
    is_released = pl.col("action") == "release"
    drawn = is_released & (pl.Series(rng.random(DRAFTS)) < pl.col("chance"))
    seen = truth.select(
        "action",
        is_error=pl.when(~is_released | drawn).then("wrong"),
        propensity=pl.when(drawn).then("chance"),
    )
    return Month(truth, seen)


def simulated(error_share: float) -> pl.DataFrame:
    """One row a month: true and estimated error rate of released drafts, and recall."""
    rng = np.random.default_rng(20260101)
    rows = []
    for _ in range(MONTHS):
        one = month(rng, error_share)
        found = sample_estimates(one.seen)
        rate, recall = found.error_rate, found.recall
        assert rate is not None
        assert recall is not None
        assert found.stopped_errors == one.truth.filter("wrong", action="review").height
        rows.append(
            {
                "rate": one.error_rate,
                "said": rate.value,
                "rate_in": rate.low <= one.error_rate <= rate.high,
                "recall_in": recall.low <= one.recall <= recall.high,
                "hits": rate.hits,
                "width": recall.high - recall.low,
            }
        )
    return pl.DataFrame(rows)


@pytest.mark.parametrize(("error_share", "width"), [(0.005, 0.85), (0.02, 0.6), (0.1, 0.3)])
def test_interval_covers_the_truth_as_often_as_it_says(error_share: float, width: float) -> None:
    months = simulated(error_share)
    spread = float(months["said"].to_numpy().std()) / MONTHS**0.5
    gap = float((months["said"] - months["rate"]).to_numpy().mean())
    assert abs(gap) < 3.5 * spread  # without bias
    slack = 2.6 * (0.05 * 0.95 / MONTHS) ** 0.5
    for name in ("rate_in", "recall_in"):
        assert months[name].to_numpy().mean() > 0.95 - slack
    assert months["width"].to_numpy().mean() < width  # it says something


def test_unweighted_sample_would_be_wrong() -> None:
    """The reason for weights: strata of high scores are looked at more often."""
    rng = np.random.default_rng(7)
    one = month(rng, 0.1)
    looked_at = one.seen.filter(pl.col("propensity").is_not_null())
    plain = weighted_rate(looked_at.with_columns(weight=pl.lit(1.0)))
    assert plain.low > one.error_rate


def test_three_over_n_covers_where_nothing_was_found() -> None:
    """At the bound itself n rows show nothing once in twenty times: it is as low as it may be."""
    rng = np.random.default_rng(3)
    rows, rate = 600, 3 / 600
    bound = weighted_share(pl.Series([], dtype=pl.Float64), 1 / rows)[1]
    assert bound == pytest.approx(3 / rows, rel=0.002)
    none_found = (rng.random((4_000, rows)) < rate).sum(axis=1) == 0
    assert none_found.mean() == pytest.approx(0.05, abs=0.012)


def test_nothing_wrong_gives_a_bound_and_no_recall() -> None:
    seen = pl.DataFrame(
        {
            "action": ["release"] * 400 + ["hold"],
            "is_error": [False] * 200 + [None] * 201,
            "propensity": [0.005] * 200 + [None] * 201,
        }
    )
    found = sample_estimates(seen)
    assert found.error_rate is not None
    assert (0.0, 0.0, 200, 0) == (
        found.error_rate.value,
        found.error_rate.low,
        found.error_rate.rows,
        found.error_rate.hits,
    )
    assert found.error_rate.high == pytest.approx(3 / 200, rel=0.002)
    assert (None, 400, 1, 1) == (found.recall, found.released, found.stopped, found.unanswered)


def test_recall_without_a_hit_is_at_least_what_the_bound_allows() -> None:
    seen = pl.DataFrame(
        {
            "action": ["release"] * 300 + ["hold"] * 10,
            "is_error": [False] * 300 + [True] * 10,
            "propensity": [1.0] * 300 + [None] * 10,
        }
    )
    recall = sample_estimates(seen).recall
    assert recall is not None
    assert (1.0, 1.0) == (recall.value, recall.high)
    assert recall.low == pytest.approx(10 / (10 + 3), abs=0.002)


def test_sample_that_nobody_looked_at_estimates_nothing() -> None:
    seen = pl.DataFrame(
        {"action": ["release", "hold"], "is_error": [None, True], "propensity": [None, None]},
        schema={"action": pl.String, "is_error": pl.Boolean, "propensity": pl.Float64},
    )
    found = sample_estimates(seen)
    assert (None, None, 1) == (found.error_rate, found.recall, found.stopped_errors)


def test_one_rare_row_is_clipped() -> None:
    chances = pl.DataFrame({"propensity": [0.5] * 999 + [0.0005]})
    weights = chances.select(weight=inverse_weights(pl.col("propensity")))["weight"].to_numpy()
    mean = (999 * 2 + 2_000) / 1_000
    assert weights.max() == pytest.approx(MOST_TIMES * mean)
    assert weights.min() == 2.0
    rows = pl.DataFrame({"is_error": [False] * 999 + [True], "weight": weights})
    assert weighted_rate(rows).value < 0.02  # unclipped: a half
