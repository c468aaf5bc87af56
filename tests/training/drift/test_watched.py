"""What is watched: scores and actions, corrections after 90 days, payments at equal maturity."""

from datetime import date, timedelta

import polars as pl
from polars.testing import assert_frame_equal

from prebill.core.schemas.internal import DECISIONS
from prebill.core.scoring.features.payment import receivables
from prebill.core.scoring.models.payment_risk import PaymentRisk, Rung
from tests.core.scoring.payers import FIRST, TODAY, payers
from tests.training.drift.builders import limits
from training.drift.watched import (
    CORRECTED_DAYS,
    DELAY_SEEN_DAYS,
    corrections,
    detection,
    payment_risk,
)

JUDGED = date(2026, 3, 1)
REFERENCE = (FIRST + timedelta(days=90), FIRST + timedelta(days=150))


def decisions(**columns: list[object]) -> pl.DataFrame:
    """Decisions judged on JUDGED; the columns given differ."""
    count = len(next(iter(columns.values())))
    given = {
        "invoice_id": [f"D{number}" for number in range(count)],
        "action": ["release"] * count,
        "direction": ["unclear"] * count,
        "confidence": ["full"] * count,
        "currency": ["EUR"] * count,
        "expected_loss_minor": [0] * count,
        "p_error_basis": ["labels"] * count,
        **dict.fromkeys(("reasons", "model_versions", "policy_hash"), [""] * count),
        **columns,
    }
    schema = {name: DECISIONS.schema[name] for name in given}
    frame = DECISIONS.conform(pl.DataFrame(given, schema=schema))
    return frame.with_columns(at_on=pl.lit(JUDGED), customer_id=pl.lit("C1"))


def test_held_counts_as_stopped_and_reviewed_too() -> None:
    judged = decisions(action=["release", "review", "hold"], anomaly_score=[0.1, 0.99, 1.0])
    features = pl.DataFrame(
        {
            "invoice_id": ["D0", "D1", "D2"],
            "at_on": [JUDGED, JUDGED, JUDGED + timedelta(days=1)],
            "total_ratio": [0.1, None, 0.3],
        }
    )
    watch = detection(judged, features, limits())
    # D2 was judged on another day than these features are of.
    assert ["D0", "D1"] == watch.rows["row_id"].to_list()
    assert ["total_ratio"] == watch.features == watch.top
    alone = detection(judged, pl.DataFrame(), limits())
    assert [] == alone.features
    assert [False, False, True] == alone.rows["is_held"].to_list()
    assert [False, True, True] == alone.rows["is_stopped"].to_list()


def test_a_correction_counts_for_ninety_days_and_only_what_was_learnt_from_labels() -> None:
    judged = decisions(
        p_error=[0.1, 0.2, 0.3, 0.4], p_error_basis=["labels", "labels", "labels", "prior"]
    )
    within, after = (JUDGED + timedelta(days=days) for days in (CORRECTED_DAYS - 1, CORRECTED_DAYS))
    found = pl.DataFrame(
        {"draft_id": ["D0", "D0", "D1", "D3"], "found_on": [within, after, after, within]}
    )
    rows = corrections(judged, found, as_of_on=date(2027, 1, 1)).rows
    assert [("D0", True), ("D1", False), ("D2", False)] == rows.select(
        "row_id", "is_corrected"
    ).rows()
    assert {after} == {*rows["at_on"]}
    early = corrections(judged, found, as_of_on=within).rows
    assert not early["is_corrected"].any()


def watched(as_of_on: date) -> dict[str, pl.DataFrame]:
    books = payers(customers=40)
    known = receivables(books.invoices, books.payments, books.credit_notes)
    model = PaymentRisk(Rung.PRIOR, 0.0)
    found = payment_risk(known, model, limits(), as_of_on=as_of_on, reference=REFERENCE)
    return {watch.name: watch.rows for watch in found}


def test_outcomes_are_dated_by_the_day_on_which_all_are_seen_equally_long() -> None:
    rows = watched(TODAY)
    invoices = payers(customers=40).invoices.select("invoice_id", "due_on")
    due = invoices.rename({"invoice_id": "row_id"})
    for name, days in (("late", 2), ("delay", DELAY_SEEN_DAYS + 1)):
        dated = rows[name].join(due, on="row_id")
        assert {timedelta(days=days)} == {*dated["at_on"] - dated["due_on"]}
    assert rows["delay"]["days_late"].max() == DELAY_SEEN_DAYS + 1
    assert rows["payment_risk"]["at_on"].min() >= REFERENCE[0]
    assert rows["payment_risk"]["p_late"].null_count() == 0


def test_what_is_paid_later_changes_no_matured_outcome() -> None:
    morning = TODAY - timedelta(days=40)
    early, late = watched(morning), watched(TODAY)
    for name in ("late", "delay", "payment_risk"):
        before = early[name].filter(pl.col("at_on") < morning).sort("row_id")
        after = late[name].filter(pl.col("at_on") < morning).sort("row_id")
        columns = [c for c in before.columns if c not in ("settled_on", "p_never")]
        assert before.height > 100
        assert_frame_equal(before.select(columns), after.select(columns))
