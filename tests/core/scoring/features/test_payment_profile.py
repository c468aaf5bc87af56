"""What is remembered of invoices, what a morning sees of it, and everyone's habits."""

import json
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.scoring.features.payment import features, profile, receivables, remembered
from prebill.core.scoring.features.payment_everyone import Everyone, Outcomes, everyone_of
from prebill.core.scoring.features.payment_history import (
    EDGES,
    PRIOR_LATE_RATE,
    days_of,
    prior_hazards,
)
from prebill.core.scoring.features.payment_profile import OWN_INVOICES, REMEMBERED
from tests.core.scoring.payers import FIRST, TODAY, Books, books, invoice, payers

DAY = timedelta(days=1)
DUE_STEP = EDGES.index(0)


def known(given: Books) -> pl.DataFrame:
    return receivables(given.invoices, given.payments, given.credit_notes)


def test_remembered_rows_stand_for_receivables() -> None:
    given = payers(customers=20)
    drafts = given.invoices.filter(pl.col("issued_on") > FIRST + 200 * DAY)
    rows = remembered(known(given))
    assert rows.schema == REMEMBERED
    assert_frame_equal(
        features(drafts, profile(known(given), drafts)), features(drafts, profile(rows, drafts))
    )


def test_rows_of_customers_put_together_are_those_of_all() -> None:
    given = payers(customers=6)
    parts = [
        remembered(known(given).filter(pl.col("customer_id") == f"C00{number}"))
        for number in range(6)
    ]
    assert_frame_equal(remembered(known(given)), pl.concat(parts))


def test_what_no_later_draft_looks_back_on_is_left_out() -> None:
    # Two invoices a day, so that each weekday has more than are looked back on.
    days = OWN_INVOICES * 7 // 2 + 200
    rows = [
        invoice(f"I{n:05}-{twin}", "C", FIRST + n * DAY) for n in range(days) for twin in range(2)
    ]
    paid = [
        (one["invoice_id"], one["issued_on"] + (n % 23 + 2) * DAY, 10_000)
        for n, one in enumerate(rows)
    ]
    given = books(rows, paid)
    morning = FIRST + (days + 5) * DAY
    kept = remembered(known(given), morning)
    assert OWN_INVOICES * 5 <= kept.height < len(rows)
    later = books([invoice(f"D{n}", "C", morning + 9 * n * DAY) for n in range(4)]).invoices
    everyone = everyone_of(outcomes(50, 1), days_of(pl.Series([morning])))
    whole = features(later, profile(known(given), later, everyone=everyone))
    assert_frame_equal(whole, features(later, profile(kept, later, everyone=everyone)))


def test_morning_before_the_issue_hides_the_outcome_of_what_came_after() -> None:
    rows = [invoice(f"I{n}", "C", FIRST + n * DAY) for n in range(20)]
    given = books(rows, [(f"I{n}", FIRST + (n + 20) * DAY, 10_000) for n in range(20)])
    key = {"customer_id": ["C"], "issued_on": [FIRST + 60 * DAY]}
    seen = profile(known(given), pl.DataFrame(key))
    assert seen.past.count.tolist() == [20]
    waiting = profile(known(given), pl.DataFrame({**key, "labels_before": [FIRST + 5 * DAY]}))
    assert waiting.past.count.tolist() == [5]


def test_latest_due_comes_first() -> None:
    given = payers(customers=3)
    keys = given.invoices.select("customer_id", issued_on=pl.lit(TODAY)).unique()
    past = profile(known(given), keys).past
    for start, count in zip(past.start, past.count, strict=True):
        assert (np.diff(past.due[start : start + count]) <= 0).all()


# ── Everyone ─────────────────────────────────────────────────────────────────────────────────


def outcomes(count: int, delay: int) -> Outcomes:
    due = days_of(pl.Series([FIRST])).repeat(count)
    return Outcomes(counts_on=due, due=due, settled=due + delay, weekday=np.full(count, 3))


def test_without_anybody_it_is_the_prior() -> None:
    found = everyone_of(outcomes(0, 0), np.array([20_000]))
    assert found.late_rate.tolist() == [PRIOR_LATE_RATE]
    assert found.hazards[0] == pytest.approx(prior_hazards())


def test_everyone_who_pays_two_days_late_is_late() -> None:
    morning = days_of(pl.Series([FIRST + 30 * DAY]))
    found = everyone_of(outcomes(2_000, 2), morning)
    assert found.late_rate[0] > 0.99
    assert found.weekday_late_rates[0, 2] > 0.99
    open_after = np.cumprod(1 - found.hazards[0])
    assert open_after[DUE_STEP] > 0.98
    assert open_after[EDGES.index(2)] < 0.02


def test_what_is_settled_later_counts_as_open_that_morning() -> None:
    early = days_of(pl.Series([FIRST + DAY]))
    assert everyone_of(outcomes(2_000, 2), early).late_rate[0] > 0.99
    on_time = everyone_of(outcomes(2_000, -3), early)
    assert on_time.late_rate[0] < 0.01


def test_habits_survive_being_stored_as_text() -> None:
    found = everyone_of(outcomes(50, 4), days_of(pl.Series([FIRST + 9 * DAY])))
    again = Everyone.from_lists(json.loads(json.dumps(found.to_lists())))
    assert again.hazards.tolist() == found.hazards.tolist()
    assert again.late_rate.tolist() == found.late_rate.tolist()


# ── Disputes ─────────────────────────────────────────────────────────────────────────────────


def test_disputes_count_from_the_day_after_they_opened_until_they_closed() -> None:
    given = books([invoice("A", "C", FIRST), invoice("B", "C", FIRST)])
    disputes = pl.DataFrame(
        {"invoice_id": ["A"], "opened_on": [FIRST + 3 * DAY], "closed_on": [FIRST + 9 * DAY]}
    )

    def on(day: int) -> tuple[float | None, float | None]:
        draft = books([invoice("D", "C", FIRST + day * DAY)]).invoices
        row = features(draft, profile(known(given), draft, disputes))
        return row["open_dispute_count"].item(), row["dispute_share"].item()

    assert on(3) == (0.0, 0.0)
    assert on(4) == (1.0, 0.5)
    assert on(9) == (1.0, 0.5)
    assert on(10) == (0.0, 0.5)


def test_where_nobody_records_disputes_they_are_null() -> None:
    draft = books([invoice("D", "C", FIRST)]).invoices
    row = features(draft, profile(known(books([invoice("A", "C", FIRST)])), draft))
    assert row["open_dispute_count"].to_list() == [None]
    assert row["dispute_share"].to_list() == [None]
