"""Payment risk alone: never a hold, a review only above the limit, and said in money."""

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
import yaml

from prebill.core.errors import PolicyError
from prebill.core.policy.model import Policy
from prebill.core.policy.ruleset import Variant
from prebill.core.schemas.inbound import PAYMENTS
from prebill.core.scoring.company import company_of
from prebill.core.scoring.detectors import DRAFT_DETECTORS
from prebill.core.scoring.exposure import Receivables
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.prepared import prepare, scene_prepared
from prebill.core.scoring.scorer import Scored, score, score_scene
from tests.core.policy.test_policy import document
from tests.core.scoring.company import DRAFTED, company

SLOW = "C003"
RULE: dict[str, object] = {
    "id": "exposure",
    "kind": "exposure_above",
    "limits": {"default": 100},
    "p_late": 0.6,
    "p_never": 0.9,
    "action": "review",
}


def policy(**changes: object) -> Policy:
    """Only this rule: whatever else the drafts have is no matter here."""
    return Policy.parse(yaml.safe_dump(document(rules=[RULE | changes])))


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    """Everybody pays by the due date but one customer: 45 days late."""
    known = company(customers=6)
    heads = known.history.invoices.select("invoice_id", "customer_id", "due_on")
    is_slow = pl.col("customer_id") == SLOW
    paid_on = pl.when(is_slow).then(pl.col("due_on") + timedelta(days=45)).otherwise("due_on")
    paid = (
        known.payments.drop("paid_on")
        .join(heads.with_columns(paid_on=paid_on), on="invoice_id")
        .filter(pl.col("paid_on") < DRAFTED)
    )
    return replace(known, payments=PAYMENTS.conform(paid))


def row(scored: Scored, customer: str = SLOW) -> dict:
    mine = pl.col("invoice_id").str.starts_with(customer)
    return scored.decisions.row(by_predicate=mine, named=True)


def test_slow_payer_above_the_limit_is_reviewed_and_told_in_money(inputs: ScoringInputs) -> None:
    scored = score(inputs, Models(), policy())
    assert {SLOW} == {
        name[:4] for name in scored.decisions.filter(action="review")["invoice_id"].to_list()
    }
    (reason,) = [
        one for one in json.loads(row(scored)["reasons"]) if one["code"] == "exposure_above_limit"
    ]
    past = inputs.history.invoices.filter(customer_id=SLOW).join(
        inputs.payments, on="invoice_id", how="anti"
    )
    draft = inputs.drafts.invoices.filter(customer_id=SLOW)
    overdue = past.filter(pl.col("due_on") < DRAFTED)
    days = (DRAFTED - overdue["due_on"].min()).days
    paid_on = draft["due_on"][0] + timedelta(days=int(row(scored)["days_late_p50"]))
    late = round(row(scored)["p_late"] * 100, 1)

    def pounds(frame: pl.DataFrame) -> str:
        return f"{frame['total_minor'].sum() / 100:,.2f} GBP"

    assert reason["text"] == (
        f"open {pounds(past)} of which {pounds(overdue)} overdue {days} days, this invoice "
        f"{pounds(draft)}, limit 100.00 GBP; {late} % likely late, likely paid on {paid_on}"
    )
    assert reason["amount_minor"] is None


def test_prepared_profile_knows_what_is_open_as_the_books_do(inputs: ScoringInputs) -> None:
    kept = company_of(inputs, None)
    prepared = prepare(inputs, kept.everybody)
    alone = replace(inputs, history=Books(), remembered=prepared.remembered, owed=prepared.owed)
    alone = replace(alone, payments=PAYMENTS.empty(), usage_days=inputs.usage_days.clear())
    scene = scene_prepared(alone, prepared, kept.norms, kept.everybody)
    assert scene is not None
    found = score_scene(scene, Models(), policy(), DRAFT_DETECTORS).findings
    by_books = score(inputs, Models(), policy()).findings
    above = pl.col("code") == "exposure_above_limit"
    assert 1 == by_books.filter(above).height
    assert by_books.filter(above)["text"].to_list() == found.filter(above)["text"].to_list()


def test_below_the_limit_nothing_is_stopped(inputs: ScoringInputs) -> None:
    free = score(inputs, Models(), policy(limits={"default": 100, "GBP": 1_000_000}))
    assert free.decisions["action"].unique().to_list() == ["release"]
    assert free.findings.filter(code="exposure_above_limit").is_empty()


def test_limit_is_the_last_amount_that_goes_out(inputs: ScoringInputs) -> None:
    open_minor = (
        inputs.history.invoices.filter(customer_id=SLOW)
        .join(inputs.payments, on="invoice_id", how="anti")["total_minor"]
        .sum()
    )
    whole = open_minor + inputs.drafts.invoices.filter(customer_id=SLOW)["total_minor"].sum()
    at = score(inputs, Models(), policy(limits={"default": whole / 100}))
    above = score(inputs, Models(), policy(limits={"default": (whole - 1) / 100}))
    assert (row(at)["action"], row(above)["action"]) == ("release", "review")


def test_natural_persons_are_left_out_where_the_policy_forbids(inputs: ScoringInputs) -> None:
    text = document(rules=[RULE], payment_risk={"natural_persons": "forbidden"})
    forbidding = Policy.parse(yaml.safe_dump(text))
    nobody = score(inputs, Models(), forbidding)  # no customer is said to be a business
    assert nobody.decisions["action"].unique().to_list() == ["release"]
    companies = inputs.customers.with_columns(is_business=pl.lit(value=True))
    found = score(replace(inputs, customers=companies), Models(), forbidding)
    assert row(found)["action"] == "review"


def test_without_payments_the_draft_alone_is_the_exposure(inputs: ScoringInputs) -> None:
    unpaid = replace(inputs, payments=PAYMENTS.empty())
    likely = Policy.parse(yaml.safe_dump(document(rules=[RULE])))
    scored = score(unpaid, Models(), likely)
    late = scored.decisions.filter(pl.col("p_late") >= 0.6)
    assert late.is_empty()  # the stated prior: nobody is likely late, so that nobody is asked
    limited = likely.rules[0].explain
    assert limited is not None
    scores = unpaid.drafts.invoices.with_columns(
        p_late=pl.lit(0.7),
        p_never=pl.lit(0.0),
        days_late_p50=pl.lit(365.0),
        is_person=pl.lit(value=False),
    )
    books = (unpaid.history.invoices, unpaid.payments, unpaid.credit_notes)
    said = limited(scores, Receivables(*books, are_known=False))
    above = scores.filter(pl.col("total_minor") > 10_000)
    assert said["invoice_id"].to_list() == above["invoice_id"].to_list()
    assert said["text"][0].startswith("what is open is not known, this invoice ")
    assert said["text"][0].endswith("may never be paid")


def test_rule_that_fails_is_said_on_every_draft(inputs: ScoringInputs) -> None:
    broken = policy()

    def fails(*_: object) -> pl.DataFrame:
        raise ZeroDivisionError

    failing = replace(broken, variants=(Variant(replace(broken.rules[0], explain=fails)),))
    scored = score(inputs, Models(), failing)
    assert scored.decisions["action"].unique().to_list() == ["review"]
    assert "the judge policy could not judge this draft" in row(scored)["reasons"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "hold"}, "leads to review at most"),
        ({"limits": {"EUR": 5}}, "with a default"),
        ({"limits": 5}, "with a default"),
        ({"limits": {"default": 5, "EURO": 5}}, "unknown currencies EURO"),
        ({"limits": {"default": -5}}, "outside"),
        ({"p_late": 0.2}, "outside"),
        ({"p_never": 0}, "outside"),
    ],
)
def test_wrong_settings_are_refused(change: dict, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        policy(**change)


def test_decision_of_billing_findings_asks_no_exposure(inputs: ScoringInputs) -> None:
    # What billing reports is decided apart, from columns that know nothing of receivables.
    scored = score(inputs, Models(), policy())
    totals = inputs.drafts.invoices.select("invoice_id", "total_minor")
    asked = scored.decisions.join(totals, on="invoice_id")
    none = scored.findings.clear()
    assert policy().decide(asked, none)["action"].unique().to_list() == ["release"]
    again = policy().decide(asked, scored.findings)
    assert dict(again.select("invoice_id", "action").iter_rows()) == dict(
        scored.decisions.select("invoice_id", "action").iter_rows()
    )
