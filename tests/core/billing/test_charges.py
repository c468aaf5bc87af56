"""Charge models: shared checks over every registered one, then what is special to each."""

import polars as pl
import pytest

from prebill.core.billing.charges import CHARGE_MODELS, ChargeModel, register
from prebill.core.errors import ContractError
from tests.core.billing.builders import decimals

QUANTITIES = ("0", "0.5", "1", "5", "5.000000000001", "10", "10.5", "25", "999999")


def lines(*quantities: str, unit_price: str | None = "2", size: str | None = "10") -> pl.DataFrame:
    count = len(quantities)
    return pl.DataFrame(
        {
            "row": pl.Series(range(count), dtype=pl.UInt32),
            "charge_key": pl.Series([3] * count, dtype=pl.UInt32),
            "billable": decimals(*quantities),
            "unit_price": decimals(*[unit_price] * count),
            "package_size": decimals(*[size] * count),
        }
    )


def tiers(*rows: tuple[str, str | None, str, str]) -> pl.DataFrame:
    columns = ["from_quantity", "up_to_quantity", "unit_price", "flat_fee"]
    parts = {
        name: decimals(*values)
        for name, values in zip(columns, zip(*rows, strict=True), strict=True)
    }
    return pl.DataFrame({"charge_key": pl.Series([3] * len(rows), dtype=pl.UInt32), **parts})


USUAL = tiers(("0", "5", "10", "100"), ("5", "10", "1", "50"), ("10", None, "0.5", "0"))


def amounts(name: str, *quantities: str, tier_rows: pl.DataFrame = USUAL) -> list[str]:
    done = CHARGE_MODELS[name].price(lines(*quantities), tier_rows).sort("row")
    assert done["is_priced"].all()
    return [format(amount.normalize(), "f") for amount in done["amount"]]


@pytest.mark.parametrize("model", CHARGE_MODELS.values(), ids=lambda model: model.name)
class TestEveryModel:
    def test_one_row_comes_back_for_each_line(self, model: ChargeModel) -> None:
        done = model.price(lines(*QUANTITIES), USUAL)
        assert list(range(len(QUANTITIES))) == done["row"].sort().to_list()
        assert {"row", "amount", "is_priced"} == set(done.columns)

    def test_amounts_are_exact_decimals_and_never_null(self, model: ChargeModel) -> None:
        done = model.price(lines(*QUANTITIES), USUAL)
        assert done.schema["amount"].is_decimal()
        assert done["amount"].null_count() == done["is_priced"].null_count() == 0

    def test_order_of_lines_is_irrelevant(self, model: ChargeModel) -> None:
        given = lines(*QUANTITIES)
        turned = model.price(given.reverse(), USUAL.reverse()).sort("row")
        assert model.price(given, USUAL).sort("row").equals(turned)

    def test_missing_price_is_said(self, model: ChargeModel) -> None:
        done = model.price(lines("7", unit_price=None), USUAL.clear())
        assert done["is_priced"].to_list() == [False]
        assert done["amount"][0] == 0

    def test_no_lines_give_no_rows(self, model: ChargeModel) -> None:
        assert model.price(lines("1").clear(), USUAL).is_empty()


def test_flat_costs_the_fee_at_zero_too() -> None:
    assert amounts("flat", "0", "7") == ["2", "2"]


def test_per_unit_multiplies() -> None:
    assert amounts("per_unit", "0", "0.5", "7") == ["0", "1", "14"]


def test_graduated_prices_each_tier_and_pays_the_fee_of_each_entered() -> None:
    # (0, 5] at 10 + 100; (5, 10] at 1 + 50; (10, ...] at 0.5
    expected = ["0", "105", "150", "201", "205", "205.25"]
    assert expected == amounts("graduated", "0", "0.5", "5", "6", "10", "10.5")


def test_volume_prices_all_units_at_the_reached_tier() -> None:
    assert amounts("volume", "0", "5", "6", "10", "11") == ["0", "150", "56", "60", "5.5"]


def test_package_rounds_up_to_started_packages() -> None:
    assert amounts("package", "0", "0.1", "10", "10.000000000001") == ["0", "2", "2", "4"]


def test_package_of_no_size_has_no_price() -> None:
    done = CHARGE_MODELS["package"].price(lines("7", size="0"), USUAL)
    assert done["is_priced"].to_list() == [False]


@pytest.mark.parametrize("name", ["graduated", "volume"])
@pytest.mark.parametrize(
    ("quantity", "rows"),
    [
        ("7", (("0", "5", "1", "0"), ("8", None, "1", "0"))),
        ("12", (("0", "5", "1", "0"), ("5", "10", "1", "0"))),
        ("4", (("0", "5", "1", "0"), ("3", None, "1", "0"))),
        ("1", (("2", None, "1", "0"),)),
    ],
    ids=["gap", "no last tier", "overlap", "first tier not at zero"],
)
def test_tiers_that_do_not_fit_are_said(
    name: str, quantity: str, rows: tuple[tuple[str, str | None, str, str], ...]
) -> None:
    done = CHARGE_MODELS[name].price(lines(quantity), tiers(*rows))
    assert done["is_priced"].to_list() == [False]


def test_registry_refuses_two_models_of_one_name() -> None:
    flat = CHARGE_MODELS["flat"]
    with pytest.raises(ContractError, match="one name"):
        register(flat, flat)
