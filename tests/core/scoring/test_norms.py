"""What is ordinary, learnt before: the same answers as from the history beside the drafts."""

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.policy.model import Policy
from prebill.core.scoring.company import Company, company_of
from prebill.core.scoring.features.payment import receivables, remembered
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models
from prebill.core.scoring.scorer import Scored, learn, score
from tests.core.scoring.company import company, with_calls

ONE = "C003-202512"
POLICY = Policy.default()


@pytest.fixture(scope="module")
def inputs() -> ScoringInputs:
    return with_calls(company(), ONE, 30)


def own(inputs: ScoringInputs, keep: pl.Expr) -> ScoringInputs:
    """Only some customers' history and drafts."""

    def kept(books: Books) -> Books:
        invoices = books.invoices.filter(keep)
        ids = invoices.select("invoice_id")
        return Books(invoices, books.lines.join(ids, on="invoice_id", how="semi"))

    return replace(
        inputs,
        history=kept(inputs.history),
        drafts=kept(inputs.drafts),
        usage_days=inputs.usage_days.filter(keep),
    )


def surprises(decisions: pl.DataFrame) -> pl.DataFrame:
    """How rare each draft is, in powers of ten; what is ordinary does not matter."""
    rare = -(1.0 - pl.col("anomaly_score")).log10()
    return decisions.sort("invoice_id").select("invoice_id", rare=rare.clip(1.0, 3.0))


def assert_alike(expected: pl.DataFrame, actual: pl.DataFrame) -> None:
    """Tails agree but for a factor of three: the portfolio beside them is not quite the same."""
    assert_frame_equal(surprises(expected), surprises(actual), abs_tol=0.5)


def test_drafts_alone_are_judged_as_beside_the_history(inputs: ScoringInputs) -> None:
    norms = learn(inputs, None)
    expected, actual = score(inputs, Models(), POLICY), score(inputs, Models(), POLICY, norms)
    assert_alike(expected.decisions, actual.decisions)
    reasons = actual.findings.filter(pl.col("invoice_id") == ONE)["code"].to_list()
    assert "total_above_history" in reasons


def test_two_shards_answer_as_one(inputs: ScoringInputs) -> None:
    norms = learn(inputs, None)
    is_low = pl.col("customer_id") < "C020"
    expected = score(inputs, Models(), POLICY, norms)
    shards = [score(own(inputs, keep), Models(), POLICY, norms) for keep in (is_low, ~is_low)]
    assert_alike(expected.decisions, pl.concat([shard.decisions for shard in shards]))


def test_one_customer_is_judged_by_what_was_kept_of_the_company(inputs: ScoringInputs) -> None:
    kept = Company.from_json(company_of(inputs, None).to_json())
    one = own(inputs, pl.col("customer_id") == "C003")
    scored = score(one, Models(), POLICY, kept.norms, kept.everybody)
    assert scored.decisions["invoice_id"].to_list() == [ONE]
    expected = score(inputs, Models(), POLICY).decisions.filter(pl.col("invoice_id") == ONE)
    assert expected["action"].to_list() == scored.decisions["action"].to_list()
    assert scored.decisions["direction"].to_list() == ["over"]


def test_a_company_without_history_has_norms_that_can_judge_nothing() -> None:
    norms = learn(ScoringInputs(Books(), Books()), None)
    drafts = company(customers=1, months=1).drafts
    scored = score(ScoringInputs(Books(), drafts), Models(), POLICY, norms)
    assert scored.decisions["anomaly_score"].to_list() == [None]
    assert scored.decisions["action"].to_list() == ["review"]


# ── Everyone's payments ──────────────────────────────────────────────────────────────────────


def paying(scored: Scored) -> pl.DataFrame:
    names = ("invoice_id", "p_late", "days_late_p10", "days_late_p50", "days_late_p90")
    return scored.decisions.select(names).sort("invoice_id")


def test_payment_figures_do_not_depend_on_the_shard(inputs: ScoringInputs) -> None:
    norms = learn(inputs, None)
    # Shards of prompt and of slow payers: what each takes for everyone's habit differs.
    is_prompt = pl.col("customer_id").str.slice(-2).cast(pl.Int64) % 20 < 10
    parts = [own(inputs, keep) for keep in (is_prompt, ~is_prompt)]
    expected = paying(score(inputs, Models(), POLICY, norms))
    shards = pl.concat([paying(score(one, Models(), POLICY, norms)) for one in parts])
    assert_frame_equal(expected, shards.sort("invoice_id"), abs_tol=1e-12)
    forgetful = replace(norms, payers=None)
    alone = pl.concat([paying(score(one, Models(), POLICY, forgetful)) for one in parts])
    assert (alone.sort("invoice_id")["p_late"] - expected["p_late"]).abs().max() > 0.01


def test_one_customer_is_told_its_payments_as_in_the_company(inputs: ScoringInputs) -> None:
    whole = company_of(inputs, None)
    kept = Company.from_json(whole.to_json())
    one = own(inputs, pl.col("customer_id") == "C003")
    expected = paying(score(inputs, Models(), POLICY, whole.norms, whole.everybody))
    found = paying(score(one, Models(), POLICY, kept.norms, kept.everybody))
    assert_frame_equal(expected.filter(pl.col("invoice_id") == ONE), found)


def test_remembered_payments_stand_for_payments(inputs: ScoringInputs) -> None:
    norms = learn(inputs, None)
    known = receivables(inputs.history.invoices, inputs.payments, inputs.credit_notes)
    first_on = inputs.drafts.invoices["issued_on"].min()
    for rows in (remembered(known), remembered(known, first_on)):
        prepared = replace(
            inputs,
            payments=inputs.payments.clear(),
            credit_notes=inputs.credit_notes.clear(),
            remembered=rows,
        )
        assert_frame_equal(
            paying(score(inputs, Models(), POLICY, norms)),
            paying(score(prepared, Models(), POLICY, norms)),
        )


def test_without_payments_nobody_is_said_to_pay_late(inputs: ScoringInputs) -> None:
    unpaid = replace(inputs, payments=inputs.payments.clear())
    assert learn(unpaid, None).payers is None
    assert learn(inputs, None).payers is not None


def never_paying(inputs: ScoringInputs, customer: str) -> ScoringInputs:
    """The same company, but of one customer no payment ever came."""
    of_customer = inputs.history.invoices.filter(customer_id=customer)
    payments = inputs.payments.join(of_customer, on="invoice_id", how="anti")
    assert payments.height < inputs.payments.height
    return replace(inputs, payments=payments)


def one_customer(inputs: ScoringInputs, customer: str) -> ScoringInputs:
    """A shard of one customer, with its own payments only."""
    one = own(inputs, pl.col("customer_id") == customer)
    ids = one.history.invoices.select("invoice_id")
    return replace(one, payments=one.payments.join(ids, on="invoice_id", how="semi"))


def test_customer_that_never_paid_is_late_in_a_shard_of_its_own_too(inputs: ScoringInputs) -> None:
    """Nothing paid there does not mean that nobody records payments: the norms know of some."""
    whole = never_paying(inputs, "C003")
    norms = learn(whole, None)
    expected = paying(score(whole, Models(), POLICY, norms)).filter(pl.col("invoice_id") == ONE)
    shard = one_customer(whole, "C003")
    assert shard.payments.is_empty()
    assert_frame_equal(expected, paying(score(shard, Models(), POLICY, norms)), abs_tol=1e-12)
    assert (
        expected["p_late"].item()
        > paying(score(inputs, Models(), POLICY, norms))
        .filter(pl.col("invoice_id") == ONE)["p_late"]
        .item()
    )


def test_new_customer_has_the_figures_of_everyone(inputs: ScoringInputs) -> None:
    """Nothing of its own was due yet: late as often as everyone, in a shard of its own too."""
    other = pl.col("customer_id") != "C003"
    history = Books(inputs.history.invoices.filter(other), inputs.history.lines)
    whole = replace(inputs, history=history)
    norms = learn(whole, None)
    in_whole = score(whole, Models(), POLICY, norms).decisions.filter(pl.col("invoice_id") == ONE)
    alone = score(one_customer(whole, "C003"), Models(), POLICY, norms).decisions
    assert ["cold"] == in_whole["confidence"].to_list() == alone["confidence"].to_list()
    assert in_whole["p_late"].item() == pytest.approx(alone["p_late"].item(), abs=1e-12)
    head = inputs.drafts.invoices.filter(pl.col("invoice_id") == ONE)
    stranger = head.with_columns(invoice_id=pl.lit("X"), customer_id=pl.lit("nobody yet"))
    other_new = replace(whole, drafts=Books(stranger, inputs.drafts.lines))
    found = score(other_new, Models(), POLICY, norms).decisions
    assert found["p_late"].item() == pytest.approx(alone["p_late"].item(), abs=1e-12)
    assert norms.payers is not None
    slow = replace(norms.payers, hazards=norms.payers.hazards / 2)
    later = score(other_new, Models(), POLICY, replace(norms, payers=slow)).decisions
    assert later["p_late"].item() > found["p_late"].item()
