"""Past months as if live: nothing later is seen, later facts are the answer."""

from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.calendar import Period
from prebill.core.policy.model import Policy
from prebill.core.schemas.inbound import CREDIT_NOTES
from prebill.core.scoring.backtest import JUDGED, MONTHS, Past, backtest, by_month, judge_month
from prebill.core.scoring.frames import Books, ScoringInputs
from tests.core.scoring.company import altered, company
from tests.core.scoring.payers import TODAY, payers

POLICY = Policy.default()
AUGUST = Period(date(2025, 8, 1), date(2025, 9, 1))
SEPTEMBER = Period(date(2025, 9, 1), date(2025, 10, 1))


def credited(*rows: tuple[str, date, int, str]) -> pl.DataFrame:
    names = ("invoice_id", "issued_on", "amount_minor", "reason")
    given = [dict(zip(names, row, strict=True)) for row in rows]
    return CREDIT_NOTES.conform(
        pl.DataFrame(given).with_columns(credit_note_id=pl.format("CN-{}", "invoice_id"))
    )


@pytest.fixture(scope="module")
def past() -> Past:
    """Invoices and payments of 60 customers; a wrong invoice in August, one out of goodwill."""
    given = payers(customers=60)
    invoices = given.invoices
    august = invoices.filter(pl.col("issued_on").is_between(AUGUST.start_on, AUGUST.end_on))
    wrong, kind = august["invoice_id"][0], august["invoice_id"][1]
    day = AUGUST.end_on + timedelta(days=3)
    notes = credited((wrong, day, 1_000, "amount"), (kind, day, 500, "goodwill"))
    inputs = ScoringInputs(
        history=Books(invoices),
        drafts=Books(),
        payments=given.payments,
        credit_notes=notes,
    )
    return Past(inputs, TODAY + timedelta(days=120))


def test_every_invoice_of_a_month_is_judged_once_and_counted(past: Past) -> None:
    found = backtest(past, [AUGUST, SEPTEMBER], POLICY, seed=1)
    assert found.judged.schema == JUDGED
    assert found.months.schema == MONTHS
    assert found.months["month"].to_list() == ["2025-08", "2025-09"]
    issued = past.inputs.history.invoices.filter(
        pl.col("issued_on").is_between(AUGUST.start_on, SEPTEMBER.end_on, closed="left")
    )
    assert sorted(found.judged["invoice_id"]) == sorted(issued["invoice_id"])
    counts = found.months.select(pl.sum_horizontal("release", "review", "hold") - pl.col("drafts"))
    assert counts.to_series().to_list() == [0, 0]
    assert found.months["auroc"].min() > 0.7
    assert 0.0 < found.months["brier"].max() < 0.25


def test_goodwill_is_no_error_and_its_money_is_told(past: Past) -> None:
    judged, _ = judge_month(past, AUGUST, POLICY, seed=1)
    wrong = judged.filter("is_error")
    assert wrong["error_minor"].to_list() == [1_000]
    assert by_month(judged)["errors"].to_list() == [1]


def test_what_came_after_the_month_changes_no_score(past: Past) -> None:
    judged, _ = judge_month(past, AUGUST, POLICY, seed=1)
    inputs = past.inputs
    end_on = AUGUST.end_on
    cut = replace(
        inputs,
        history=Books(inputs.history.invoices.filter(pl.col("issued_on") < end_on)),
        payments=inputs.payments.filter(pl.col("paid_on") < end_on),
        credit_notes=inputs.credit_notes.clear(),
    )
    again, _ = judge_month(replace(past, inputs=cut), AUGUST, POLICY, seed=1)
    said = [name for name in JUDGED if name not in _OUTCOMES]
    assert_frame_equal(judged.select(said), again.select(said), abs_tol=1e-9)


_OUTCOMES = ("is_error", "error_minor", "is_late", "delay_days")


def test_outcome_that_may_still_come_is_null(past: Past) -> None:
    early = replace(past, known_until=AUGUST.end_on + timedelta(days=5))
    judged, _ = judge_month(early, AUGUST, POLICY, seed=1)
    assert judged["is_error"].null_count() == judged.height - 1  # the credited one is known
    assert judged["is_late"].null_count() > 0
    month = by_month(judged).row(0, named=True)
    assert month["known"] == 1


def test_draft_that_a_reviewer_corrected_is_judged_as_it_was_drafted() -> None:
    """The issued invoice is right; what was judged was 60 % too high."""
    inputs = company()
    name = "C003-202512"
    issued = Books(
        pl.concat([inputs.history.invoices, inputs.drafts.invoices]),
        pl.concat([inputs.history.lines, inputs.drafts.lines]),
    )
    whole = replace(inputs, history=issued, drafts=Books())
    high = altered(
        inputs,
        name,
        subtotal_minor=pl.col("subtotal_minor") * 3,
        tax_minor=pl.col("tax_minor") * 3,
        total_minor=pl.col("total_minor") * 3,
    ).drafts
    month = Period(date(2025, 12, 1), date(2026, 1, 1))
    if inputs.drafts.invoices["issued_on"].max() >= month.end_on:
        month = Period(date(2026, 1, 1), date(2026, 2, 1))
    drafted = Books(high.invoices.filter(invoice_id=name), high.lines.filter(invoice_id=name))
    verdicts = pl.DataFrame({"invoice_id": [name], "error_minor": [5_000]})
    until = month.end_on + timedelta(days=200)
    as_issued, _ = judge_month(Past(whole, until), month, POLICY, seed=1)
    as_drafted, _ = judge_month(
        Past(whole, until, verdicts=verdicts, as_drafted=drafted), month, POLICY, seed=1
    )
    row = as_drafted.row(by_predicate=pl.col("invoice_id") == name, named=True)
    before = as_issued.row(by_predicate=pl.col("invoice_id") == name, named=True)
    assert before["action"] == "release"
    assert row["action"] != "release"
    assert row["is_error"]
    assert row["error_minor"] == 5_000
    assert by_month(as_drafted)["recall"].to_list() == [1.0]


def test_month_without_invoices_is_absent(past: Past) -> None:
    empty = Period(date(2030, 1, 1), date(2030, 2, 1))
    assert backtest(past, [empty], POLICY, seed=1).months.is_empty()
