"""Faults of usage events, found on days, counts and ids."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from prebill.core.money import DECIMAL
from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.detectors import DETECTORS
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.scene import scene_of
from prebill.core.scoring.usage import usage_days
from tests.core.scoring.company import company, with_calls

ONE = "C003-202512"
MONTH = pl.col("used_on") >= date(2025, 12, 1)
HERE = (pl.col("customer_id") == "C003") & MONTH


def duplicated(days: pl.DataFrame) -> pl.DataFrame:
    again = HERE & pl.col("used_on").is_between(date(2025, 12, 5), date(2025, 12, 12))
    twice = {
        "events": pl.col("events") * 2,
        "repeated_events": pl.col("events"),
        "quantity": pl.col("quantity") * 2,
        "repeated_quantity": pl.col("quantity"),
    }
    return days.with_columns(
        pl.when(again).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in twice.items()
    )


def lost(days: pl.DataFrame) -> pl.DataFrame:
    return days.filter(~(HERE & (pl.col("used_on") >= date(2025, 12, 20))))


def silent(days: pl.DataFrame) -> pl.DataFrame:
    return days.filter(~HERE)


def stuck(days: pl.DataFrame) -> pl.DataFrame:
    flat = pl.lit(50, dtype=pl.Int64).cast(DECIMAL)
    return days.with_columns(quantity=pl.when(HERE).then(flat).otherwise("quantity"))


def stuck_late(days: pl.DataFrame) -> pl.DataFrame:
    """From the 20th on the reading of that day is sent again."""
    late = HERE & (pl.col("used_on") >= date(2025, 12, 20))
    first = days.filter(late).sort("used_on")["quantity"][0]
    return days.with_columns(
        quantity=pl.when(late).then(pl.lit(first)).otherwise("quantity"),
        events=pl.when(late).then(pl.lit(1)).otherwise("events"),
    )


def in_larger_unit(days: pl.DataFrame) -> pl.DataFrame:
    """Three days are sent in thousands: too little is billed."""
    some = HERE & pl.col("used_on").is_between(date(2025, 12, 9), date(2025, 12, 11))
    return days.with_columns(
        quantity=pl.when(some).then(pl.col("quantity") / 1000).otherwise("quantity")
    )


def in_other_unit(days: pl.DataFrame) -> pl.DataFrame:
    late = HERE & (pl.col("used_on") >= date(2025, 12, 25))
    return days.with_columns(
        quantity=pl.when(late).then(pl.col("quantity") * 1000).otherwise("quantity")
    )


def findings(inputs: ScoringInputs, name: str) -> pl.DataFrame:
    detector = next(detector for detector in DETECTORS if detector.name == name)
    return detector.judge(scene_of(inputs)).findings


@pytest.mark.parametrize(
    ("fault", "detector", "code"),
    [
        (duplicated, "repeated_usage", "duplicate_usage"),
        (lost, "missing_usage", "usage_missing"),
        (silent, "missing_usage", "usage_missing"),
        (stuck, "stuck_meter", "meter_stuck"),
        (stuck_late, "stuck_meter", "meter_stuck"),
        (in_larger_unit, "unit_error", "unit_error"),
        (in_other_unit, "unit_error", "unit_error"),
    ],
)
def test_fault_is_found_on_its_invoice_only(
    fault: Callable[[pl.DataFrame], pl.DataFrame], detector: str, code: str
) -> None:
    inputs = company()
    assert findings(inputs, detector).is_empty()
    found = findings(
        replace(inputs, usage_days=USAGE_DAYS.conform(fault(inputs.usage_days))), detector
    )
    assert found["invoice_id"].to_list() == [ONE]
    assert [code] == found["code"].to_list()
    assert "calls" in found["text"][0]
    assert found["expected"][0]


def test_billed_quantity_is_compared_with_the_events() -> None:
    inputs = company()
    assert [("calls", "calls")] == list(scene_of(inputs).norms.meters.iter_rows())
    assert findings(inputs, "billed_usage").is_empty()
    found = findings(with_calls(inputs, ONE, 2.0), "billed_usage")
    assert [(ONE, "usage_differs_from_events", "2")] == list(
        found.select("invoice_id", "code", "line_ids").iter_rows()
    )
    calls = inputs.drafts.lines.filter(pl.col("invoice_id") == ONE, pl.col("product") == "calls")
    assert calls["amount_minor"].to_list() == found["amount_minor"].to_list()
    assert "(2.0x)" in found["text"][0]


def test_a_product_that_follows_no_meter_is_compared_with_none() -> None:
    inputs = company()
    none = replace(inputs, usage_days=USAGE_DAYS.empty())
    assert scene_of(none).norms.meters.is_empty()
    assert findings(with_calls(none, ONE, 2.0), "billed_usage").is_empty()


def test_money_of_a_meter_is_that_of_the_product_that_bills_it() -> None:
    inputs = company()
    days = USAGE_DAYS.conform(in_other_unit(inputs.usage_days))
    found = findings(replace(inputs, usage_days=days), "unit_error")
    assert ["2"] == found["line_ids"].to_list()
    assert found["amount_minor"][0] > 0


def test_days_in_a_larger_unit_are_billed_too_low() -> None:
    inputs = company()
    days = USAGE_DAYS.conform(in_larger_unit(inputs.usage_days))
    found = findings(replace(inputs, usage_days=days), "unit_error")
    assert "falls to 1/" in found["text"][0]
    assert "under-billed" in found["text"][0]
    assert found["amount_minor"][0] < 0


def test_batch_sent_again_under_new_ids_counts_as_repeated() -> None:
    event = {
        "source": "api",
        "id": "1",
        "customer_id": "C1",
        "meter": "calls",
        "occurred_at": "2026-01-02T03:04:05Z",
        "quantity": "5",
        "unique_value": None,
    }
    events = pl.DataFrame([event, event | {"id": "2"}, event | {"id": "1"}]).with_columns(
        pl.col("occurred_at").str.to_datetime(time_unit="us", time_zone="UTC"),
        pl.col("quantity").cast(DECIMAL),
        pl.col("unique_value").cast(pl.String),
    )
    day = usage_days(events).row(0, named=True)
    assert (day["events"], day["repeated_events"]) == (2, 1)
    assert (day["quantity"], day["repeated_quantity"]) == (10, 5)
