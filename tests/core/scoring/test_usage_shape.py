"""What a window's statistics are made of: its own days of its own meter, whatever lies beside."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.features import usage_shape

FIRST = date(2026, 9, 1)
MONTHS = (FIRST, date(2026, 10, 1), date(2026, 11, 1))


def used(meter: str, days: list[int], quantity: int = 10) -> list[dict[str, object]]:
    return [
        {
            "customer_id": "C1",
            "meter": meter,
            "source": "app",
            "used_on": FIRST + timedelta(day),
            "events": 1,
            "repeated_events": 0,
            "quantity": Decimal(quantity + day),
            "repeated_quantity": Decimal(0),
            "largest_quantity": Decimal(quantity + day),
        }
        for day in days
    ]


def invoices() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "invoice_id": ["I9", "I10"],
            "customer_id": ["C1", "C1"],
            "is_draft": [False, True],
            "issued_on": list(MONTHS[1:]),
            "period_start_on": list(MONTHS[:2]),
            "period_end_on": list(MONTHS[1:]),
        }
    )


def days(*rows: dict[str, object]) -> pl.DataFrame:
    return USAGE_DAYS.conform(pl.DataFrame(rows, schema_overrides=dict(USAGE_DAYS.schema)))


def windows(*rows: dict[str, object]) -> dict[tuple[str, str], dict[str, object]]:
    profile = usage_shape.profile(days(*rows), invoices(), invoices())
    return {(row["invoice_id"], row["meter"]): row for row in profile.iter_rows(named=True)}


def test_each_meter_has_the_days_of_its_window() -> None:
    found = windows(*used("calls", [0, 1, 9, 32, 33]), *used("storage", [3, 40, 41, 50], 100))
    assert {key: (row["events"], row["quantity"]) for key, row in found.items()} == {
        ("I9", "calls"): (3, 40.0),
        ("I10", "calls"): (2, 85.0),
        ("I9", "storage"): (1, 103.0),
        ("I10", "storage"): (3, 431.0),
    }


def test_silence_is_between_days_of_one_meter_and_window() -> None:
    found = windows(*used("calls", [0, 1, 9, 29, 31, 59]), *used("storage", [5, 15, 59]))
    silent = {key: row["longest_silence"] for key, row in found.items()}
    assert silent == {
        ("I9", "calls"): 19,
        ("I10", "calls"): 27,
        ("I9", "storage"): 14,
        ("I10", "storage"): 29,
    }


def test_a_day_is_compared_with_its_weekday() -> None:
    # Ten on each Tuesday and a thousand on each Wednesday: the hundred on one of each is odd.
    tuesdays = [row | {"quantity": Decimal(10)} for row in used("calls", [*range(0, 56, 7)])]
    wednesdays = [row | {"quantity": Decimal(1000)} for row in used("calls", [*range(1, 57, 7)])]
    tuesdays[-1] |= {"quantity": Decimal(100)}
    wednesdays[-2] |= {"quantity": Decimal(100)}
    october = windows(*tuesdays, *wednesdays)["I10", "calls"]
    assert np.log(101 / 11) == pytest.approx(october["highest"])
    assert np.log(101 / 1001) == pytest.approx(october["lowest"])
    assert FIRST + timedelta(43) == october["odd_on"]


def test_few_earlier_days_of_a_weekday_are_no_ordinary() -> None:
    found = windows(*used("calls", [0, 9]), *used("calls", [20], 90), *used("storage", [1, 2]))
    assert found["I9", "calls"]["highest"] is None


def test_days_whose_mean_event_is_exactly_the_day_befores() -> None:
    rows = [row | {"quantity": Decimal(7)} for row in used("calls", [31, 32, 33, 35])]
    rows[1] |= {"quantity": Decimal(14), "events": 2}
    found = windows(*rows, *used("storage", [31, 32, 33]))
    assert found["I10", "calls"]["equal_days"] == 3
    assert found["I10", "storage"]["equal_days"] == 0


def test_two_invoices_that_bill_from_the_same_day_see_the_same_usage() -> None:
    yearly = invoices().with_columns(
        pl.lit("Y1").alias("invoice_id"), period_end_on=pl.lit(FIRST + timedelta(365))
    )
    both = pl.concat([invoices(), yearly.head(1)])
    profile = usage_shape.profile(days(*used("calls", [0, 1, 9])), both, both)
    seen = dict(profile.select("invoice_id", "events").iter_rows())
    assert {"I9": 3, "I10": 0, "Y1": 3} == seen


def test_order_of_the_rows_says_nothing() -> None:
    rows = [*used("calls", [0, 9, 40]), *used("storage", [1, 2, 33])]
    assert windows(*rows) == windows(*reversed(rows))
