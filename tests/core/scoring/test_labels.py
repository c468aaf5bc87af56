"""Labels that arrive by themselves, and which of several counts."""

from datetime import UTC, date, datetime

import polars as pl

from prebill.core.schemas.inbound import CREDIT_NOTES, DISPUTES, PAYMENTS
from prebill.core.schemas.internal import LABELS
from prebill.core.scoring.labels import Arrived, outcome_labels, strongest

ISSUED_ON = date(2026, 11, 5)
ISSUED = pl.DataFrame(
    {"invoice_id": ["I1", "I2"], "draft_id": ["d1", "d2"], "draft_version": ["v1", "v2"]}
).with_columns(issued_on=pl.lit(ISSUED_ON), total_minor=pl.lit(1_000, dtype=pl.Int64))


def credit(reason: str | None, on: date = date(2026, 12, 1), invoice: str = "I1") -> pl.DataFrame:
    row = {"credit_note_id": f"{invoice}-{reason}", "invoice_id": invoice, "issued_on": on}
    return CREDIT_NOTES.conform(
        pl.DataFrame([row | {"amount_minor": 10, "reason": reason}], CREDIT_NOTES.schema)
    )


def dispute(closed_on: date | None, name: str = "D1") -> pl.DataFrame:
    row = {"dispute_id": name, "invoice_id": "I1", "opened_on": date(2026, 11, 20)}
    return DISPUTES.conform(pl.DataFrame([row | {"closed_on": closed_on}], DISPUTES.schema))


def payments(*amounts: int) -> pl.DataFrame:
    rows = [
        {
            "payment_id": f"p{place}",
            "invoice_id": "I1",
            "paid_on": date(2026, 11, 10 + place),
            "amount_minor": amount,
        }
        for place, amount in enumerate(amounts)
    ]
    return pl.DataFrame(rows, PAYMENTS.schema)


def told(
    notes: pl.DataFrame | None = None,
    disputes: pl.DataFrame | None = None,
    paid: pl.DataFrame | None = None,
) -> list[tuple[object, ...]]:
    given = (notes, disputes, paid)
    frames = zip(given, (CREDIT_NOTES, DISPUTES, PAYMENTS), strict=True)
    arrived = Arrived(*(one if one is not None else frame.empty() for one, frame in frames))
    labels = outcome_labels(ISSUED, arrived)
    assert not labels["was_shown"].any()
    return labels.select("label_id", "is_error", "reason_code", "matures_on").rows()


def test_correction_is_an_error_and_goodwill_says_nothing() -> None:
    mature_on = date(2027, 2, 3)  # 90 days after issue
    for reason, code in (
        ("tax", "tax"),
        ("party", "party"),
        (None, "credited"),
        ("x y", "credited"),
    ):
        assert told(credit(reason)) == [("credit_note:d1:v1", True, code, mature_on)]
    assert told(credit("goodwill")) == []


def test_credit_note_after_ninety_days_is_no_label() -> None:
    assert told(credit("amount", date(2027, 2, 3))) == []
    assert len(told(credit("amount", date(2027, 2, 2)))) == 1


def test_credit_notes_of_one_invoice_are_one_label() -> None:
    both = pl.concat([credit("goodwill"), credit("amount"), credit("tax", date(2026, 11, 8))])
    assert [row[2] for row in told(both)] == ["tax"]


def test_open_dispute_is_an_error_and_one_closed_uncorrected_is_none() -> None:
    mature_on = date(2027, 1, 4)  # 60 days after issue
    assert told(disputes=dispute(None)) == [("dispute:d1:v1", True, "contested", mature_on)]
    closed = told(disputes=dispute(date(2026, 12, 2)))
    assert closed == [("dispute:d1:v1", False, "closed_uncorrected", mature_on)]
    corrected = told(credit("amount"), dispute(date(2026, 12, 2)))
    assert [row[:2] for row in corrected] == [
        ("credit_note:d1:v1", True),
        ("dispute:d1:v1", True),
    ]
    again = pl.concat([dispute(None, "D0"), dispute(date(2026, 12, 2), "D1")])
    assert told(disputes=again)[0][1] is True


def test_dispute_closed_late_matures_when_it_is_known() -> None:
    assert told(disputes=dispute(date(2027, 5, 1)))[0][3] == date(2027, 5, 1)


def test_payment_in_full_tells_that_it_was_right() -> None:
    assert told(paid=payments(400, 599)) == []
    assert told(paid=payments(400, 600)) == [
        ("payment:d1:v1", False, "paid_in_full", date(2027, 2, 3))
    ]


def label(source: str, *, is_error: bool, matures_on: date, **given: object) -> dict[str, object]:
    row = {"label_id": f"{source}:d1:v1", "draft_id": "d1", "draft_version": "v1"}
    row |= {"is_error": is_error, "source": source, "matures_on": matures_on, "was_shown": False}
    row |= {"reason_code": "", "entered_by": "ada", "propensity": None}
    return row | {"entered_at": datetime(2026, 11, 5, tzinfo=UTC)} | given


def test_strongest_mature_source_wins_and_the_propensity_stays() -> None:
    early, late = date(2026, 11, 10), date(2027, 2, 3)
    labels = pl.DataFrame(
        [
            label("payment", is_error=False, matures_on=late),
            label("dispute", is_error=True, matures_on=early),
            label("sample", is_error=False, matures_on=early, propensity=0.01),
            label("credit_note", is_error=True, matures_on=late),
        ],
        LABELS.schema,
    )
    columns = ["is_error", "source", "weight", "propensity", "matures_on"]
    assert strongest(labels, date(2026, 11, 9)).is_empty()
    before = strongest(labels, early).select(columns).rows()
    assert before == [(False, "sample", 1.0, 0.01, early)]
    after = strongest(labels, late).select(columns).rows()
    assert after == [(True, "credit_note", 1.0, 0.01, late)]
    weak = labels.filter(pl.col("source").is_in(["dispute", "payment"]))
    assert strongest(weak, late).select(columns).rows() == [(True, "dispute", 0.5, None, early)]
