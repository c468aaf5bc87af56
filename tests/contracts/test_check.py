"""Checking frames by compiled contracts: every rule, exact text, properties, a million bad rows."""

import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prebill.contracts import load_catalog
from prebill.contracts.check import REJECTED, Checked
from prebill.core.errors import InputError
from prebill.core.money import DECIMAL, MAX_QUANTITY, decimal_text

CATALOG = load_catalog(Path(__file__).parent.parent.parent / "data_contracts")
EVENT = {
    "source": "app",
    "id": "e1",
    "customer_id": "c1",
    "meter": "api_calls",
    "occurred_at": "2026-10-01T00:00:00Z",
    "quantity": "1.5",
}


def check(contract: str, *rows: dict[str, Any]) -> Checked:
    return CATALOG.compiled(contract).check(pl.DataFrame(rows))


def event(**changed: str | None) -> Checked:
    return check("usage_events", {**EVENT, **changed})


def broken(checked: Checked) -> list[tuple[str, str, str | None]]:
    return checked.rejected.select("column", "rule", "value").rows()


def test_good_row_comes_out_typed() -> None:
    checked = event()
    row = checked.good.row(0, named=True)
    assert row["quantity"] == Decimal("1.5")
    assert row["occurred_at"] == datetime(2026, 10, 1, tzinfo=UTC)
    assert row["unique_value"] is None
    assert checked.good.schema["quantity"] == DECIMAL
    assert checked.rejected.schema == REJECTED


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("quantity", "-1", "minimum"),
        ("quantity", "1000000000000", "exclusiveMaximum"),
        ("quantity", "1e3", "is_decimal"),
        ("quantity", "0.1234567890123", "is_decimal"),
        ("quantity", "1,5", "is_decimal"),
        ("quantity", "NaN", "is_decimal"),
        ("quantity", "٣", "is_decimal"),
        ("quantity", "", "required"),
        ("quantity", None, "required"),
        ("occurred_at", "2026-10-01T00:00:00", "is_instant"),
        ("occurred_at", "2026-02-30T00:00:00Z", "is_instant"),
        ("occurred_at", "2026-10-01", "is_instant"),
        ("occurred_at", "9999-12-31T00:00:00Z", "exclusiveMaximum"),
        ("customer_id", "", "required"),
        ("customer_id", "c\x00", "is_text"),
        ("customer_id", "c\ufffd", "is_text"),
        ("id", "x" * 201, "maxLength"),
    ],
)
def test_bad_value_of_an_event_is_rejected(column: str, value: str | None, rule: str) -> None:
    checked = event(**{column: value})
    assert checked.good.is_empty()
    assert (column, rule, value or None) in [
        (found, name, text) for found, name, text in broken(checked)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-01T02:00:00+02:00", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-10-01 00:00:00.250000Z", datetime(2026, 10, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2026-10-01T00:00:00-0130", datetime(2026, 10, 1, 1, 30, tzinfo=UTC)),
    ],
)
def test_instants_of_any_offset_become_utc(text: str, expected: datetime) -> None:
    assert event(occurred_at=text).good["occurred_at"].to_list() == [expected]


CHARGE = {
    "price_book_id": "pb",
    "plan_id": "pro",
    "charge_id": "api",
    "name": "API calls",
    "charge_model": "per_unit",
    "quantity_source": "metered",
    "meter": "api_calls",
    "timing": "in_arrears",
    "is_prorated": "false",
    "unit_price": "0.001",
    "package_size": None,
    "included_quantity": "0",
    "tax_category": "saas",
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"timing": "later"}, [("timing", "timing_listed", "later")]),
        ({"is_prorated": "perhaps"}, [("is_prorated", "is_boolean", "perhaps")]),
        ({"meter": None}, [("meter", "metered_names_meter", None)]),
        ({"unit_price": None}, [("unit_price", "price_given", None)]),
        ({"charge_model": "package"}, [("package_size", "package_size_given", None)]),
        ({"unit_price": "1000000000"}, [("unit_price", "exclusiveMaximum", "1000000000")]),
        ({"charge_model": "graduated", "unit_price": None}, []),
    ],
)
def test_charge_rules(changed: dict[str, Any], expected: list[Any]) -> None:
    assert broken(check("charges", {**CHARGE, **changed})) == expected


def test_every_broken_rule_of_a_row_is_kept() -> None:
    checked = event(quantity="-1", occurred_at="noon", customer_id=None)
    assert {rule for _, rule, _ in broken(checked)} == {"minimum", "is_instant", "required"}


def test_currency_country_zone_and_order_are_checked() -> None:
    contract = {
        "contract_id": "k1",
        "customer_id": "c1",
        "entity_id": "DE",
        "currency": "EURO",
        "time_zone": "Berlin",
        "starts_on": "2026-02-01",
        "ends_on": "2026-01-01",
        "payment_terms_days": "14.5",
        "proration_policy": "day_actual",
        "recorded_at": "2026-01-01T00:00:00Z",
    }
    found = {rule for _, rule, _ in broken(check("contracts", contract))}
    assert found == {"currency_iso", "time_zone_iana", "ends_after_start", "is_integer"}
    customer = {"customer_id": "c1", "country": "UK", "is_business": "TRUE"}
    assert broken(check("customers", customer)) == [("country", "country_iso", "UK")]


def test_typed_columns_of_parquet_are_taken_as_they_are() -> None:
    frame = pl.DataFrame(
        {
            **{name: [value] for name, value in EVENT.items()},
            "occurred_at": [datetime(2026, 10, 1, 2, tzinfo=UTC)],
            "quantity": [2.5],
        }
    ).with_columns(pl.col("occurred_at").cast(pl.Datetime("ns", "UTC")))
    row = CATALOG.compiled("usage_events").check(frame).good.row(0, named=True)
    assert row["quantity"] == Decimal("2.5")
    assert row["occurred_at"] == datetime(2026, 10, 1, 2, tzinfo=UTC)


def test_dates_of_spreadsheets_at_midnight_are_dates() -> None:
    payment = pl.DataFrame(
        {
            "payment_id": ["p1"],
            "invoice_id": ["i1"],
            "paid_on": [datetime(2026, 10, 1)],  # noqa: DTZ001  # what pandas writes
            "amount_minor": [1999.0],
        }
    )
    row = CATALOG.compiled("payments").check(payment).good.row(0, named=True)
    assert (row["paid_on"], row["amount_minor"]) == (date(2026, 10, 1), 1999)


def test_file_without_a_required_column_is_an_error_that_names_it() -> None:
    frame = pl.DataFrame([EVENT]).drop("quantity", "meter")
    with pytest.raises(InputError, match="lacks the columns meter, quantity"):
        CATALOG.compiled("usage_events").check(frame)


def test_nested_column_is_an_error_that_names_it() -> None:
    frame = pl.DataFrame([{**EVENT, "quantity": [1, 2]}])
    with pytest.raises(InputError, match="quantity"):
        CATALOG.compiled("usage_events").check(frame)


def test_empty_file_with_its_header_has_no_rows() -> None:
    frame = pl.DataFrame(schema=dict.fromkeys(EVENT, pl.String()))
    checked = CATALOG.compiled("usage_events").check(frame)
    assert checked.good.is_empty()
    assert checked.rejected.is_empty()


DECIMALS = st.decimals(
    min_value=0, max_value=MAX_QUANTITY - 1, places=12, allow_nan=False, allow_infinity=False
)


@given(DECIMALS)
def test_decimal_within_limits_is_read_exactly(value: Decimal) -> None:
    text = decimal_text(value)
    assert event(quantity=text).good["quantity"].to_list() == [value]


@given(st.text(max_size=30))
def test_any_text_is_read_exactly_or_rejected(text: str) -> None:
    checked = event(quantity=text)
    assert checked.good.height + (not checked.rejected.is_empty()) == 1
    if checked.good.height:
        assert checked.good["quantity"].item() == Decimal(text)


@given(st.lists(st.sampled_from(["1", "-1", "x", "", "0.5"]), max_size=30))
def test_good_and_rejected_rows_part_the_input(quantities: list[str]) -> None:
    rows = [{**EVENT, "id": str(n), "quantity": text} for n, text in enumerate(quantities)]
    schema = {**dict.fromkeys(EVENT, pl.String())}
    checked = CATALOG.compiled("usage_events").check(pl.DataFrame(rows, schema=schema))
    good, bad = set(checked.good["row"]), set(checked.rejected["row"])
    assert good | bad == set(range(len(rows)))
    assert not good & bad


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2199, 1, 1)))  # noqa: DTZ001
def test_instant_is_read_to_the_microsecond(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)
    assert event(occurred_at=instant.isoformat()).good["occurred_at"].to_list() == [instant]


def test_a_million_bad_rows_stay_columnar() -> None:
    rows = 1_000_000
    frame = pl.DataFrame({name: [value] for name, value in EVENT.items()}).select(
        pl.col(*EVENT).repeat_by(rows).explode()
    )
    tracemalloc.start()
    checked = CATALOG.compiled("usage_events").check(
        frame.with_columns(quantity=pl.lit("-1"), occurred_at=pl.lit("noon"))
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert checked.rejected.height == 2 * rows
    assert peak < 50_000_000, "rows became Python objects"
