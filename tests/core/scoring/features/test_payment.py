"""Payment features: what was known on the morning of the issue date, and nothing later."""

from datetime import date, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from prebill.core.scoring.features.payment import (
    COLUMNS,
    features,
    profile,
    receivables,
    settlements,
)
from tests.core.scoring.payers import FIRST, TODAY, Books, books, invoice, payers

DAY = timedelta(days=1)


def known(given: Books, drafts: pl.DataFrame | None = None) -> pl.DataFrame:
    return receivables(given.invoices, given.payments, given.credit_notes, drafts)


def figures(given: Books, drafts: pl.DataFrame, *, unlabelled: bool = False) -> pl.DataFrame:
    return features(drafts, profile(known(given, drafts if unlabelled else None), drafts))


def one(given: Books, invoice_id: str) -> dict:
    drafts = given.invoices.filter(pl.col("invoice_id") == invoice_id)
    return figures(given, drafts).row(0, named=True)


def test_settled_is_the_day_on_which_parts_and_credits_reach_the_total() -> None:
    given = books(
        [invoice("A", "C", FIRST)],
        [("A", FIRST + 3 * DAY, 4_000), ("A", FIRST + 9 * DAY, 1_000)],
        [("A", FIRST + 7 * DAY, 5_000)],
    )
    found = settlements(given.invoices, given.payments, given.credit_notes)
    assert found.rows() == [("A", FIRST + 9 * DAY)]


def test_bank_charges_leave_an_invoice_settled_and_a_part_does_not() -> None:
    given = books(
        [invoice("A", "C", FIRST), invoice("B", "C", FIRST)],
        [("A", FIRST + DAY, 9_950), ("B", FIRST + DAY, 9_949)],
    )
    found = settlements(given.invoices, given.payments, given.credit_notes)
    assert found["invoice_id"].to_list() == ["A"]


def test_rows_dated_the_day_or_later_change_nothing() -> None:
    given = payers(customers=25)
    for day in (FIRST + 91 * DAY, FIRST + 151 * DAY, FIRST + 220 * DAY):
        drafts = given.invoices.filter(pl.col("issued_on") == day)
        assert drafts.height > 0
        cut = Books(
            given.invoices.filter(pl.col("issued_on") <= day),
            given.payments.filter(pl.col("paid_on") < day),
            given.credit_notes,
        )
        assert_frame_equal(
            figures(given, drafts), figures(cut, drafts), check_exact=False, abs_tol=1e-9
        )


def test_history_rows_have_the_features_that_they_had_as_drafts() -> None:
    given = payers(customers=15)
    together = figures(given, given.invoices)
    day = FIRST + 121 * DAY
    drafts = given.invoices.filter(pl.col("issued_on") == day)
    alone = figures(given, drafts)
    assert_frame_equal(
        alone, together.join(alone.select("invoice_id"), on="invoice_id"), abs_tol=1e-9
    )


def test_unpaid_counts_as_late_from_the_morning_after_its_due_date() -> None:
    due_on = FIRST + 14 * DAY
    rows = [invoice("OLD", "C", FIRST)]
    rows += [invoice(f"D{n}", "C", due_on + n * DAY) for n in range(3)]
    given = books(rows)
    assert one(given, "D0")["overdue_count"] == 0
    assert one(given, "D1")["overdue_count"] == 1
    assert one(given, "D1")["known_count"] == 1
    assert one(given, "D2")["overdue_age"] == 1  # until the evening before


def test_payment_of_the_same_day_is_not_known_yet() -> None:
    paid_on = FIRST + 20 * DAY
    rows = [invoice("OLD", "C", FIRST), invoice("D0", "C", paid_on)]
    rows += [invoice("D1", "C", paid_on + DAY)]
    given = books(rows, [("OLD", paid_on, 10_000)])
    assert one(given, "D0")["overdue_count"] == 1
    assert one(given, "D0")["days_since_settled"] is None
    assert one(given, "D1")["overdue_count"] == 0
    assert one(given, "D1")["days_since_settled"] == 1


def test_earlier_drafts_are_seen_but_neither_paid_nor_late() -> None:
    rows = [invoice("OLD", "C", FIRST)]
    rows += [invoice("D0", "C", FIRST + 10 * DAY), invoice("D1", "C", FIRST + 60 * DAY)]
    given = books(rows, [("OLD", FIRST + 5 * DAY, 10_000), ("D0", FIRST + 12 * DAY, 10_000)])
    drafts = given.invoices.filter(pl.col("invoice_id") != "OLD")
    last = figures(given, drafts, unlabelled=True).row(1, named=True)
    assert last["known_count"] == 1
    assert last["days_since_due"] == 46
    assert last["overdue_count"] == 0


def test_own_payment_of_a_draft_is_never_read() -> None:
    drafts = books([invoice("A", "C", FIRST)]).invoices
    given = books([invoice("A", "C", FIRST)], [("A", FIRST + DAY, 10_000)])
    row = known(given, drafts).row(0, named=True)
    assert row["settled_on"] is None
    assert row["is_labelled"] is False


def test_same_batch_is_counted_by_content() -> None:
    rows = [invoice(f"A{n}", "C", FIRST) for n in range(3)]
    rows[2]["due_on"] = FIRST + 30 * DAY
    found = one(books(rows), "A0")  # features of one draft: a batch of one
    assert found["same_day_count"] == 1
    batch = figures(books(rows), books(rows).invoices)
    assert batch["same_day_count"].to_list() == [3.0, 3.0, 3.0]
    assert batch["same_due_count"].to_list() == [2.0, 2.0, 1.0]


def test_cold_customer_has_the_portfolio_and_nulls_of_its_own() -> None:
    given = payers(customers=10)
    draft = books([invoice("NEW", "NOBODY", TODAY)]).invoices
    row = features(draft, profile(known(given), draft)).row(0, named=True)
    assert row["days_since_due"] is None
    assert row["known_count"] == 0
    assert row["late_rate"] == row["portfolio_late_rate"]
    assert 0 < row["late_rate"] < 1
    assert row["hazard_alike"] == pytest.approx(row["hazard_recent"])


def test_no_history_at_all_still_gives_rates() -> None:
    draft = books([invoice("NEW", "NOBODY", date(2026, 1, 1))]).invoices
    row = figures(books([invoice("NEW", "NOBODY", date(2026, 1, 1))]), draft)
    assert row["late_rate"].to_list() == [pytest.approx(0.3)]
    assert row.columns == ["invoice_id", *COLUMNS]


def test_features_keep_the_order_of_the_drafts() -> None:
    given = payers(customers=8)
    drafts = given.invoices.sample(fraction=1.0, shuffle=True, seed=3)
    found = figures(given, drafts)
    assert found["invoice_id"].to_list() == drafts["invoice_id"].to_list()
