"""The guard against decimals that polars turned into floats."""

import polars as pl
import pytest

from prebill.core.billing.checks import without_floats
from prebill.core.errors import MoneyError
from tests.core.billing.builders import decimals


def test_decimals_pass() -> None:
    frame = pl.DataFrame({"amount": decimals("1.5")})
    assert without_floats(frame, "price") is frame


@pytest.mark.parametrize(
    "trap", [pl.col("amount") * 1.5, pl.col("amount").mean()], ids=["float literal", "mean"]
)
def test_float_is_named(trap: pl.Expr) -> None:
    frame = pl.DataFrame({"amount": decimals("1.5")}).select(trap.alias("amount"))
    with pytest.raises(MoneyError, match=r"price.*amount") as caught:
        without_floats(frame, "price")
    assert caught.value.facts == {"stage": "price", "columns": ["amount"]}
