"""Tax treatments, codes, rates and dates."""

from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from eu_vat_rates_data import get_all_rates
from hypothesis import given
from hypothesis import strategies as st

from prebill.core.billing.tax import is_valid_vat_id, tax_minor, treatments
from prebill.core.billing.tax_rates import FORMER_RATES, bundled_tax_rates
from tests.core.billing import builders
from tests.core.billing.builders import Row, month_period

DE, FR = "DE136695976", "FR40303265045"


def taxed(customer: Row, seller: str = "DE", **rows: list[Row]) -> tuple[str, Decimal, list[str]]:
    world = builders.inputs(customers=[customer], entities=[{"country": seller}], **rows)
    result = builders.billed(world)
    line = result.lines.row(0, named=True)
    assert line["tax_minor"] == line["amount_minor"] * line["tax_percent"] / 100
    return line["tax_code"], line["tax_percent"], result.findings["code"].to_list()


@pytest.mark.parametrize(
    ("seller", "customer", "code", "percent", "findings"),
    [
        ("DE", {"country": "DE", "tax_id": DE}, "DE-S-19", "19", []),
        ("DE", {"country": "FR", "tax_id": FR}, "EU-RC", "0", []),
        ("DE", {"country": "FR", "tax_id": None}, "FR-S-20", "20", []),
        ("DE", {"country": "FR", "tax_id": FR, "is_business": False}, "FR-S-20", "20", []),
        ("DE", {"country": "FR", "tax_id": "FR123"}, "FR-S-20", "20", ["tax_id_invalid"]),
        ("DE", {"country": "FR", "tax_id": DE}, "FR-S-20", "20", ["tax_id_invalid"]),
        ("DE", {"country": "GR", "tax_id": "EL094259216"}, "EU-RC", "0", []),
        ("DE", {"country": "el", "tax_id": None}, "GR-S-24", "24", []),
        ("DE", {"country": "FI", "tax_id": None}, "FI-S-25.5", "25.5", []),
        ("DE", {"country": "US", "region": "CA"}, "EXPORT", "0", []),
        ("DE", {"country": "CH"}, "EXPORT", "0", []),
        ("DE", {"country": None}, "UNKNOWN", "0", ["tax_country_missing"]),
        ("DE", {"country": " "}, "UNKNOWN", "0", ["tax_country_missing"]),
        ("GB", {"country": "GB"}, "GB-S-20", "20", []),
        ("GB", {"country": "UK"}, "GB-S-20", "20", []),
        ("GB", {"country": "DE", "tax_id": DE}, "EXPORT", "0", []),
        (
            "GB",
            {"country": "DE", "is_business": False},
            "EXPORT",
            "0",
            ["tax_registration_unknown"],
        ),
        ("US", {"country": "US", "region": "NY"}, "US-NY", "4", []),
        ("US", {"country": "US", "region": "US-ny"}, "US-NY", "4", []),
        ("US", {"country": "US", "region": "CA"}, "US-CA", "0", []),
        ("US", {"country": "US", "region": None}, "UNKNOWN", "0", ["tax_region_missing"]),
        ("US", {"country": "US", "region": "ZZ"}, "UNKNOWN", "0", ["tax_rate_missing"]),
        ("US", {"country": "CA", "region": "ON"}, "EXPORT", "0", []),
        ("JP", {"country": "JP"}, "UNKNOWN", "0", ["tax_rate_missing"]),
    ],
)
def test_treatment(
    seller: str, customer: Row, code: str, percent: str, findings: list[str]
) -> None:
    assert taxed(customer, seller) == (code, Decimal(percent), findings)


def test_rate_of_the_category_goes_before_the_rate_for_all() -> None:
    other = taxed({"country": "US", "region": "TX"}, "US", charges=[{"tax_category": "hardware"}])
    assert other[1] == Decimal("6.25")
    assert taxed({"country": "US", "region": "TX"}, "US")[1] == Decimal(5)


def test_rate_in_force_on_the_last_day_billed_counts() -> None:
    rates: list[Row] = [
        {
            "jurisdiction": "DE",
            "tax_category": "*",
            "percent": percent,
            "effective_from_on": start_on,
            "effective_to_on": end_on,
        }
        for percent, start_on, end_on in (
            ("16", date(2026, 1, 1), date(2026, 10, 31)),
            ("17", date(2026, 10, 31), None),
        )
    ]
    world = builders.inputs(tax_rates=rates)
    assert builders.billed(world).lines["tax_percent"].to_list() == [17]
    ends_before = builders.inputs(tax_rates=rates, contracts=[{"ends_on": date(2026, 10, 31)}])
    assert builders.billed(ends_before).lines["tax_percent"].to_list() == [16]


def test_former_rates_hold_until_their_day() -> None:
    customer = {"country": "EE", "is_business": False}
    world = builders.inputs(customers=[customer])
    june = builders.billed(world, period=month_period("2025-06")).lines
    july = builders.billed(world, period=month_period("2025-07")).lines
    assert (june["tax_code"][0], july["tax_code"][0]) == ("EE-S-22", "EE-S-24")


def test_bundled_rates_agree_with_the_package_and_do_not_overlap() -> None:
    table = bundled_tax_rates()
    open_rates = table.filter(
        pl.col("effective_to_on").is_null(), ~pl.col("jurisdiction").str.contains("-")
    )
    known = {land: Decimal(str(rate["standard"])) for land, rate in get_all_rates().items()}
    assert known == dict(open_rates.select("jurisdiction", "percent").iter_rows())
    assert table.select("jurisdiction", "tax_category", "effective_from_on").is_unique().all()
    for country, percent, changed_on in FORMER_RATES:
        assert known[country] != Decimal(percent), f"{country} changed back: extend FORMER_RATES"
        own = table.filter(pl.col("jurisdiction") == country)
        assert own["effective_from_on"].max() == changed_on == own["effective_to_on"].max()


def test_each_different_tax_id_is_checked_once() -> None:
    row = {"seller_country": "DE", "country": "FR", "region": None, "tax_id": FR}
    parties = pl.DataFrame(
        [{**row, "is_business": True}] * 3, schema_overrides={"region": pl.String}
    )
    assert treatments(parties)["treatment"].to_list() == ["reverse_charge"] * 3


@given(st.text(max_size=14))
def test_any_text_may_be_a_tax_id(tax_id: str) -> None:
    assert is_valid_vat_id("DE", tax_id) in (True, False)


@pytest.mark.parametrize(
    ("amount", "percent", "expected"),
    [(999, "21", 210), (997, "21", 209), (10_000, "7.25", 725), (-999, "21", -210), (50, "1", 1)],
)
def test_tax_is_rounded_half_away_from_zero(amount: int, percent: str, expected: int) -> None:
    frame = pl.DataFrame({"amount": [amount], "percent": builders.decimals(percent)})
    assert frame.select(tax_minor(pl.col("amount"), pl.col("percent"))).item() == expected
