"""Figures of other billing engines, where their conventions are ours (the file explains itself)."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from prebill.core.billing.charges import CHARGE_MODELS
from prebill.core.billing.tax import tax_minor
from prebill.core.calendar import date_in_zone
from prebill.core.money import to_minor
from tests.core.billing import builders
from tests.core.billing.builders import Row, decimals

CASES = Path(__file__).parents[4] / "shared" / "cases" / "billing_cases.yaml"
if not CASES.exists():
    pytest.skip("shared billing cases are not here", allow_module_level=True)


def points(kind: str, is_ours: Callable[[Row, Row], bool]) -> list[Any]:
    """The points of a kind whose conventions are ours."""
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["cases"]
    return [
        pytest.param(case.get("plan") or {}, point, id=f"{case['id']}-{number}")
        for case in cases
        if case["kind"] == kind
        for number, point in enumerate(case["points"])
        if is_ours(case.get("plan") or {}, point["given"])
    ]


def is_our_model(plan: Row, given: Row) -> bool:
    """Whether model and rounding are ours; we charge nothing at zero, even with a first fee."""
    tiers = plan.get("tiers") or []
    is_zero_with_fee = given.get("quantity") == "0" and tiers and Decimal(tiers[0]["flat_fee"]) > 0
    return (
        plan.get("model") in CHARGE_MODELS
        and set(given) <= {"quantity", "free_units", "rounding"}
        and given.get("rounding", "up") == "up"
        and not is_zero_with_fee
    )


def is_part_of_a_month(plan: Row, given: Row) -> bool:
    return {"price", "period", "billed"} <= set(given)


def is_plain_sum(plan: Row, given: Row) -> bool:
    return "currency" in given and not any("repeated" in line for line in given["lines"])


def is_any(plan: Row, given: Row) -> bool:
    return True


@pytest.mark.parametrize(("plan", "point"), points("rate_quantity", is_our_model))
def test_rate_quantity(plan: Row, point: Row) -> None:
    given = point["given"]
    bounds = ["0", *(tier["up_to"] for tier in plan.get("tiers", []))]
    tiers = [
        {
            "charge_id": "api",
            "from_quantity": low,
            "up_to_quantity": tier["up_to"],
            "unit_price": tier["unit_price"],
            "flat_fee": tier["flat_fee"],
        }
        for low, tier in zip(bounds, plan.get("tiers", []), strict=False)
    ]
    charge = {
        "charge_id": "api",
        "charge_model": plan["model"],
        "quantity_source": "subscribed",
        "unit_price": plan.get("unit_price") or plan.get("package_price"),
        "package_size": plan.get("package_size"),
        "included_quantity": given.get("free_units", "0"),
    }
    phases = [{"quantity": given["quantity"]}]
    world = builders.inputs(charges=[charge], tiers=tiers, phases=phases)
    line = builders.billed(world).lines.row(0, named=True)
    assert line["amount_unrounded"] == Decimal(point["expect"]["amount"])


@pytest.mark.parametrize(("plan", "point"), points("stub_charge", is_part_of_a_month))
def test_stub_of_a_month(plan: Row, point: Row) -> None:
    given = point["given"]
    start_on, end_on = (date.fromisoformat(str(day)) for day in given["billed"])
    world = builders.inputs(
        charges=[{"unit_price": given["price"]}],
        contracts=[{"starts_on": start_on, "ends_on": end_on}],
        subscriptions=[{"started_on": start_on}],
        phases=[{"effective_from_on": start_on}],
    )
    month = builders.month_period(str(given["period"][0])[:7])
    found = builders.billed(world, period=month).drafts["subtotal_minor"].item()
    assert found == Decimal(point["expect"]["amount"]) * 100


@pytest.mark.parametrize(("plan", "point"), points("tax", is_any))
def test_tax_is_rounded_per_line(plan: Row, point: Row) -> None:
    lines = point["given"]["lines"]
    frame = pl.DataFrame(
        {
            "amount": [int(Decimal(line["amount"]) * 100) for line in lines],
            "percent": decimals(*(line["tax_percent"] for line in lines)),
        }
    )
    tax = frame.select(tax_minor(pl.col("amount"), pl.col("percent")).sum()).item()
    assert tax == Decimal(point["expect"]["tax"]) * 100


@pytest.mark.parametrize(("plan", "point"), points("rounding", is_plain_sum))
def test_lines_are_rounded_then_summed(plan: Row, point: Row) -> None:
    given = point["given"]
    frame = pl.DataFrame({"amount": decimals(*given["lines"])})
    minor = to_minor(pl.col("amount"), pl.lit(given["currency"]))
    exponent = 0 if given["currency"] == "JPY" else 2
    expected = Decimal(point["expect"]["total"]).scaleb(exponent)
    assert frame.select(minor.sum()).item() == expected


@pytest.mark.parametrize(("plan", "point"), points("days_between", is_any))
def test_days_between_dates_of_a_zone(plan: Row, point: Row) -> None:
    given = point["given"]
    bounds = []
    for name in ("from", "to"):
        text = str(given[name])
        if "T" in text:
            instant = pl.Series([text]).str.to_datetime(time_zone="UTC").item()
            bounds.append(date_in_zone(instant, given["timezone"]))
        else:
            bounds.append(date.fromisoformat(text))
    assert bounds[1] - bounds[0] == timedelta(point["expect"]["days"])
