"""Scoring with a model of P(error): by shards as at once, money follows, failure is said."""

from functools import cache

import polars as pl
import pytest
from polars.testing import assert_series_equal

from prebill.core.policy.model import Policy
from prebill.core.scoring.company import Company, company_of
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.models.error_risk import ErrorRisk, fit_error_risk
from prebill.core.scoring.scorer import Scored, score
from tests.core.scoring.company import company, with_calls
from tests.core.scoring.models.test_error_risk import COLUMNS, QUICK, labelled
from tests.core.scoring.test_norms import ONE, own

POLICY = Policy.default()
SERVED = ("total_ratio", "tail_level", "anomaly_score")


@cache
def models(columns: tuple[str, ...] = SERVED) -> Models:
    model = fit_error_risk(labelled(), columns, 7, QUICK)
    assert model is not None
    return Models(versions={"error_risk": model.digest}, error_risk=model)


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    return with_calls(company(), ONE, 3)


def judged(scored: Scored) -> pl.DataFrame:
    return scored.decisions.sort("invoice_id")


def test_a_shard_and_one_draft_are_told_by_their_stored_rows_alone(inputs: ScoringInputs) -> None:
    """Whatever is beside them: the stored feature row and the score give the probability again."""
    kept = Company.from_json(company_of(inputs, None).to_json())
    is_low = pl.col("customer_id") < "C020"
    for keep in (is_low, ~is_low, pl.col("customer_id") == "C003"):
        scored = score(own(inputs, keep), models(), POLICY, kept.norms, kept.everybody)
        rows = scored.decisions.select("invoice_id", "anomaly_score", "p_error").join(
            scored.feature_rows, on="invoice_id", maintain_order="left"
        )
        model = models().error_risk
        assert model is not None
        again = pl.concat([model.predict(rows[number]) for number in range(rows.height)])
        assert_series_equal(rows["p_error"], again, abs_tol=1e-12)


def test_expected_loss_follows_and_the_decision_names_the_model(inputs: ScoringInputs) -> None:
    stated, learnt = (judged(score(inputs, one, POLICY)) for one in (Models(), models()))
    assert set(stated["p_error_basis"]) == {"prior"}
    assert set(learnt["p_error_basis"]) == {"labels"}
    assert stated["anomaly_score"].equals(learnt["anomaly_score"])
    change = learnt["p_error"] - stated["p_error"]
    money = learnt["expected_loss_minor"] - stated["expected_loss_minor"]
    assert ((change * money) >= 0).all()
    assert (money != 0).any()
    assert models().versions["error_risk"] in learnt["model_versions"][0]
    assert '"error_rung": "small"' in learnt["model_versions"][0]


def test_a_model_that_can_not_answer_leaves_the_stated_prior_and_says_so(
    inputs: ScoringInputs,
) -> None:
    """It was taught with the tail of a judge that is not asked any more."""
    scored = score(inputs, models((*COLUMNS,)), POLICY)
    assert set(scored.decisions["p_error_basis"]) == {"prior"}
    assert '"error_risk": "prior"' in scored.decisions["model_versions"][0]
    [note] = [note for note in scored.notes if "P(error)" in note]
    assert "tail_tax" in note


def test_an_unasked_probability_stays_null() -> None:
    model = models().error_risk
    assert isinstance(model, ErrorRisk)
    rows = labelled(3).with_columns(anomaly_score=pl.lit(None, dtype=pl.Float64))
    assert model.predict(rows).null_count() == 3
