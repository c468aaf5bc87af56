"""Payment figures of drafts: natural persons, the as-of rule, a model that fails."""

import json
from dataclasses import replace

import lightgbm
import numpy as np
import polars as pl
import pytest

from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CUSTOMERS, DISPUTES
from prebill.core.scoring.frames import ScoringInputs, settle
from prebill.core.scoring.models import Models
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from prebill.core.scoring.models.prior import predict_prior
from prebill.core.scoring.payments import payment_figures
from prebill.core.scoring.scorer import score
from tests.core.scoring.company import company

BUSINESS, TAXED, PERSON = "C000", "C001", "C002"


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    rows = [
        {"customer_id": BUSINESS, "is_business": True, "tax_id": None},
        {"customer_id": TAXED, "is_business": None, "tax_id": "DE123456789"},
        {"customer_id": PERSON, "is_business": False, "tax_id": "DE1"},
    ]
    names = ("customer_id", "is_business", "tax_id")
    schema = {name: kind for name, kind in CUSTOMERS.schema.items() if name in names}
    customers = CUSTOMERS.conform(
        pl.DataFrame(rows, schema=schema).with_columns(
            pl.lit("n").alias(name)
            for name in [c.name for c in CUSTOMERS.columns if c.required]
            if name not in names
        )
    )
    return settle(replace(company(customers=5), customers=customers))


def of(frame: pl.DataFrame, customer: str) -> dict:
    return frame.row(by_predicate=pl.col("invoice_id").str.starts_with(customer), named=True)


def test_person_gets_the_stated_prior_where_the_policy_forbids(inputs: ScoringInputs) -> None:
    free = payment_figures(inputs, Models()).figures
    found = payment_figures(inputs, Models(), judges_persons=False)
    stated = predict_prior(inputs.drafts.invoices)
    assert free["is_person"].sum() == 0
    for customer in (BUSINESS, TAXED):
        assert of(found.figures, customer) == of(free, customer)
    for customer in (PERSON, "C003"):  # of C003 nothing is said: treated as a person
        row = of(found.figures, customer)
        assert row["is_person"]
        assert row["p_late"] == of(stated, customer)["p_late"]
    assert any("natural persons: 3 drafts" in note for note in found.notes)


def test_decision_says_that_the_model_was_not_asked(inputs: ScoringInputs) -> None:
    text = Policy.default()
    forbidding = replace(text, judges_persons=False)
    decisions = score(inputs, Models(), forbidding).decisions
    versions = {c: json.loads(of(decisions, c)["model_versions"]) for c in (BUSINESS, PERSON)}
    assert versions[PERSON]["payment_risk"] == "prior (natural person)"
    assert versions[BUSINESS]["payment_risk"] == "rule"


def test_order_of_the_drafts_is_kept(inputs: ScoringInputs) -> None:
    found = payment_figures(inputs, Models(), judges_persons=False).figures
    assert found["invoice_id"].to_list() == inputs.drafts.invoices["invoice_id"].to_list()
    assert found.null_count().sum_horizontal().item() == 0


def test_model_that_fails_leaves_a_stated_prior_and_a_note(inputs: ScoringInputs) -> None:
    data = lightgbm.Dataset(np.random.default_rng(1).random((50, 2)), np.arange(50) % 2)
    other = lightgbm.train({"objective": "binary", "verbosity": -1}, data, 1)
    broken = PaymentRisk(Rung.FULL, 0.4, other, other)
    found = payment_figures(inputs, Models(payment_risk=broken))
    assert found.versions == {"payment_risk": "rule"}
    assert "payment model failed, a stated prior answers" in found.notes[0]
    assert found.figures["p_late"].to_list() == (
        predict_prior(inputs.drafts.invoices)["p_late"].to_list()
    )


def test_dispute_of_a_draft_and_of_a_later_day_is_not_read(inputs: ScoringInputs) -> None:
    draft = inputs.drafts.invoices.row(0, named=True)
    past = inputs.history.invoices.filter(pl.col("customer_id") == draft["customer_id"])
    rows = [
        {"dispute_id": "1", "invoice_id": draft["invoice_id"], "opened_on": draft["issued_on"]},
        {"dispute_id": "2", "invoice_id": past["invoice_id"][0], "opened_on": draft["issued_on"]},
    ]
    names = ("dispute_id", "invoice_id", "opened_on")
    schema = {name: kind for name, kind in DISPUTES.schema.items() if name in names}
    disputes = DISPUTES.conform(pl.DataFrame(rows, schema=schema))
    assert settle(replace(inputs, disputes=disputes)).disputes.is_empty()
