"""What the whole of scoring says: reasons, the as-of rule, confidence, failure."""

import json
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CREDIT_NOTES, INVOICES, PAYMENTS
from prebill.core.schemas.internal import DECISIONS, USAGE_DAYS
from prebill.core.scoring.detectors import Detector, Judged, Scene
from prebill.core.scoring.frames import Books, ScoringInputs
from prebill.core.scoring.models import Models, fit_models
from prebill.core.scoring.scene import FEATURE_ROW, scene_of
from prebill.core.scoring.scorer import Scored, score, score_scene
from tests.core.scoring.company import DRAFTED, altered, books, company, with_calls

ONE = "C003-202512"
POLICY = Policy.default()


def judged(inputs: ScoringInputs) -> Scored:
    scene = scene_of(inputs)
    forest = fit_models(
        scene.rows, replace(scene.inputs, payments=PAYMENTS.empty()), seed=1
    ).models.forest
    return score_scene(scene, Models(forest=forest), POLICY)


def codes(scored: Scored, invoice: str = ONE) -> set[str]:
    return set(scored.findings.filter(pl.col("invoice_id") == invoice)["code"])


def decision(scored: Scored, invoice: str = ONE) -> dict:
    return scored.decisions.row(by_predicate=pl.col("invoice_id") == invoice, named=True)


def test_clean_drafts_are_released() -> None:
    scored = judged(company(customers=60, seed=2))
    stopped = scored.decisions.filter(pl.col("action") != "release")
    assert stopped.height <= 0.05 * 60, stopped["reasons"].to_list()


def test_forty_percent_above_own_trend_is_stopped_with_its_money() -> None:
    scored = judged(with_calls(company(), ONE, 1.6))
    row = decision(scored)
    reasons = json.loads(row["reasons"])
    assert row["action"] != "release"
    assert row["direction"] == "over"
    assert "total_above_history" in {reason["code"] for reason in reasons}
    assert reasons[0]["amount_minor"] > 0
    assert "ordinary" in reasons[0]["text"]


def test_same_rise_of_everybody_is_expected() -> None:
    inputs = replace(company(), usage_days=USAGE_DAYS.empty())
    for number in range(40):
        inputs = with_calls(inputs, f"C{number:03}-202512", 1.6)
    scored = judged(inputs)
    assert (scored.decisions["action"] == "hold").sum() <= 3


def test_currency_never_billed_before_is_held() -> None:
    scored = judged(altered(company(), ONE, currency=pl.lit("USD")))
    assert "currency_unusual" in codes(scored)
    assert decision(scored)["action"] == "hold"


def test_tax_that_history_does_not_know_is_held() -> None:
    zero = altered(
        company(), ONE, tax_minor=pl.lit(0, dtype=pl.Int64), total_minor=pl.col("subtotal_minor")
    )
    scored = judged(zero)
    assert "tax_share_unusual" in codes(scored)
    assert decision(scored)["action"] == "hold"
    assert decision(scored)["direction"] == "under"


def test_sums_that_do_not_add_up_are_held() -> None:
    scored = judged(altered(company(), ONE, total_minor=pl.col("total_minor") + 900))
    assert "sums_do_not_add_up" in codes(scored)
    assert decision(scored)["action"] == "hold"


def test_price_off_the_customers_rate_is_named_with_its_line() -> None:
    inputs = company()
    here = (pl.col("invoice_id") == ONE) & (pl.col("product") == "base")
    lines = inputs.drafts.lines.with_columns(
        unit_price=pl.when(here).then(pl.col("unit_price") * 2).otherwise("unit_price"),
        amount_minor=pl.when(here).then(pl.col("amount_minor") * 2).otherwise("amount_minor"),
    )
    scored = judged(replace(inputs, drafts=Books(inputs.drafts.invoices, lines)))
    found = scored.findings.filter(
        pl.col("invoice_id") == ONE, pl.col("code") == "rate_never_billed"
    )
    assert found["line_ids"].to_list() == ["1"]
    assert found["amount_minor"].to_list() == [5000]
    assert "50.00 GBP" in found["expected"][0]


def test_the_invoice_after_a_wrong_one_is_right() -> None:
    inputs = company()
    here = (pl.col("invoice_id") == "C003-202511") & (pl.col("product") == "base")
    wrong = inputs.history.lines.with_columns(
        unit_price=pl.when(here).then(pl.col("unit_price") * 2).otherwise("unit_price"),
        amount_minor=pl.when(here).then(pl.col("amount_minor") * 2).otherwise("amount_minor"),
    )
    scored = judged(replace(inputs, history=Books(inputs.history.invoices, wrong)))
    assert {"rate_changed", "rate_never_billed"}.isdisjoint(codes(scored))


def test_part_of_a_period_is_less_and_no_deviation() -> None:
    half = with_calls(company(), ONE, 0.5)
    assert "total_below_history" in codes(judged(half))
    middle = pl.lit(date(2025, 12, 16))
    assert "total_below_history" not in codes(judged(altered(half, ONE, period_start_on=middle)))


def test_invoice_twice_is_held_and_names_its_twin() -> None:
    inputs = company()
    again = inputs.drafts.invoices.filter(pl.col("invoice_id") == ONE).with_columns(
        invoice_id=pl.lit("again")
    )
    lines = inputs.drafts.lines.filter(pl.col("invoice_id") == ONE).with_columns(
        invoice_id=pl.lit("again")
    )
    doubled = books(
        pl.concat([inputs.drafts.invoices, again]), pl.concat([inputs.drafts.lines, lines])
    )
    scored = judged(replace(inputs, drafts=doubled))
    found = scored.findings.filter(pl.col("code") == "duplicate_invoice").sort("invoice_id")
    assert found["invoice_id"].to_list() == [ONE, "again"]
    assert decision(scored, "again")["action"] == "hold"


def test_draft_that_stands_in_history_too_is_no_duplicate_of_itself() -> None:
    inputs = company()
    both = Books(
        pl.concat([inputs.history.invoices, inputs.drafts.invoices]),
        pl.concat([inputs.history.lines, inputs.drafts.lines]),
    )
    paid = inputs.drafts.invoices.select(
        payment_id="invoice_id",
        invoice_id="invoice_id",
        paid_on=pl.col("issued_on") - timedelta(days=1),
        amount_minor="total_minor",
    )
    payments = pl.concat([inputs.payments, paid.select(inputs.payments.columns)])
    expected = judged(inputs).decisions
    actual = judged(replace(inputs, history=both, payments=payments)).decisions
    assert_frame_equal(expected, actual, abs_tol=1e-9)


def test_cutting_later_rows_changes_no_score() -> None:
    """The as-of rule by truncation: what is dated after the drafts can't matter."""
    inputs = company(months=14)
    cut = date(2025, 11, 1)
    every = inputs.history.invoices
    drafts = books(every.filter(pl.col("issued_on") == cut), inputs.history.lines)
    whole = replace(
        inputs,
        drafts=drafts,
        credit_notes=pl.DataFrame(
            {
                "credit_note_id": ["K"],
                "invoice_id": ["C005-202508"],
                "issued_on": [cut + timedelta(days=3)],
                "amount_minor": [100],
                "reason": ["amount"],
            },
            schema=CREDIT_NOTES.schema,
        ),
    )
    past = every.filter(pl.col("issued_on") < cut)
    truncated = replace(
        whole,
        history=books(past, inputs.history.lines),
        payments=inputs.payments.filter(pl.col("paid_on") < cut),
        credit_notes=CREDIT_NOTES.empty(),
        usage_days=inputs.usage_days.filter(pl.col("used_on") < cut),
    )
    expected, actual = judged(truncated), judged(whole)
    assert_frame_equal(expected.decisions, actual.decisions, abs_tol=1e-9)
    assert_frame_equal(expected.feature_rows, actual.feature_rows, abs_tol=1e-9)


def test_earlier_drafts_are_seen_by_later_ones() -> None:
    inputs = company()
    last = inputs.history.invoices["issued_on"].max()
    moved = inputs.history.invoices.filter(pl.col("issued_on") == last)
    kept = inputs.history.invoices.filter(pl.col("issued_on") < last)
    two_batches = replace(
        inputs,
        history=books(kept, inputs.history.lines),
        drafts=Books(
            pl.concat([moved, inputs.drafts.invoices]),
            pl.concat([inputs.history.lines, inputs.drafts.lines]),
        ),
    )
    later = scene_of(two_batches).drafts.filter(pl.col("issued_on") == DRAFTED)
    alone = scene_of(inputs).drafts
    columns = ["invoice_id", "total_ratio", "known", "previous_id"]
    assert_frame_equal(
        alone.select(columns).sort("invoice_id"),
        later.select(columns).sort("invoice_id"),
        abs_tol=1e-9,
    )


def test_no_history_at_all_is_judged_against_the_batch() -> None:
    inputs = company(customers=60)
    cold = ScoringInputs(Books(), Books(inputs.drafts.invoices, inputs.drafts.lines))
    scored = score(with_calls(cold, ONE, 400), Models(), POLICY)
    assert scored.decisions["confidence"].unique().to_list() == ["cold"]
    assert scored.decisions["anomaly_score"].null_count() == 0
    best = scored.decisions.sort("anomaly_score")["invoice_id"][-1]
    assert best == ONE
    assert scored.decisions["p_late"].null_count() == 0


def test_without_history_later_drafts_have_no_say() -> None:
    """A new company's drafts of three days: those of the last one change no score of the others."""
    inputs = company(customers=90, months=2)
    inputs = with_calls(inputs, "C070-202512", 300)
    day = pl.col("customer_id").str.slice(1).cast(pl.Int64) // 30
    drafts = inputs.drafts.invoices.with_columns(
        issued_on=pl.col("issued_on") + pl.duration(days=day)
    )
    earlier = drafts.filter(pl.col("issued_on") < drafts["issued_on"].max())
    usage = inputs.usage_days
    every = ScoringInputs(Books(), Books(drafts, inputs.drafts.lines), usage_days=usage)
    some = ScoringInputs(Books(), Books(earlier, inputs.drafts.lines), usage_days=usage)
    columns = ["invoice_id", "anomaly_score", "action"]
    expected = score(some, Models(), POLICY).decisions.select(columns)
    actual = score(every, Models(), POLICY).decisions.select(columns)
    assert expected.height == 60
    assert expected["anomaly_score"].n_unique() > 30
    assert_frame_equal(
        expected.sort("invoice_id"),
        actual.join(expected, on="invoice_id", how="semi").sort("invoice_id"),
        abs_tol=1e-9,
    )


def test_one_draft_and_nothing_else_says_that_it_can_not_be_judged() -> None:
    inputs = company(customers=1, months=1)
    scored = score(ScoringInputs(Books(), inputs.drafts), Models(), POLICY)
    row = scored.decisions.row(0, named=True)
    assert row["anomaly_score"] is None
    assert row["p_error"] is None
    assert row["action"] == "review"
    assert json.loads(row["reasons"])[0]["code"] == "no_basis_to_compare"
    assert row["p_late"] is not None


def test_customers_and_invoices_are_enough() -> None:
    inputs = company()
    bare = ScoringInputs(Books(inputs.history.invoices), Books(inputs.drafts.invoices))
    scored = judged(bare)
    assert DECISIONS.schema == scored.decisions.schema
    assert scored.decisions["anomaly_score"].null_count() == 0


def test_a_detector_that_raises_reviews_every_draft_and_says_so() -> None:
    def broken(scene: Scene) -> Judged:
        message = f"{len(scene.inputs.drafts.invoices)} drafts are too many"
        raise RuntimeError(message)

    scene = scene_of(company())
    scored = score_scene(scene, Models(), POLICY, (Detector("broken", "", broken),))
    assert scored.decisions["action"].unique().to_list() == ["review"]
    assert "could_not_judge" in codes(scored)


def test_outputs_are_complete_and_ordered_by_money() -> None:
    scored = judged(with_calls(company(), ONE, 30))
    assert list(scored.feature_rows.columns) == ["invoice_id", *FEATURE_ROW]
    row = decision(scored)
    money = [abs(reason["amount_minor"] or 0) for reason in json.loads(row["reasons"])]
    assert money == sorted(money, reverse=True)
    assert row["expected_loss_minor"] > 0
    assert row["p_error_basis"] == "prior"
    assert 0 < row["p_error"] < 1
    assert row["policy_hash"] == POLICY.digest
    filled = [name for name in DECISIONS.names if name not in {"anomaly_score", "p_error"}]
    assert scored.decisions.select(filled).null_count().sum_horizontal()[0] == 0


def test_order_of_drafts_does_not_change_decisions() -> None:
    inputs = with_calls(company(), ONE, 3)
    reversed_drafts = Books(inputs.drafts.invoices.reverse(), inputs.drafts.lines.reverse())
    expected = judged(inputs).decisions.sort("invoice_id")
    actual = judged(replace(inputs, drafts=reversed_drafts)).decisions.sort("invoice_id")
    assert_frame_equal(expected, actual, abs_tol=1e-9)


@pytest.mark.parametrize("total", [0, -5000])
def test_zero_and_credit_invoices_do_not_break_anything(total: int) -> None:
    inputs = altered(company(), ONE, total_minor=pl.lit(total, dtype=pl.Int64))
    assert INVOICES.schema == inputs.drafts.invoices.schema
    assert judged(inputs).decisions.height == 40
