"""Minor units, rounding, allocation, decimal text."""

from decimal import ROUND_HALF_UP, Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prebill.core.errors import MoneyError
from prebill.core.money import (
    CURRENCY_EXPONENTS,
    DECIMAL,
    DECIMAL_PATTERN,
    MAX_PRICE,
    MAX_QUANTITY,
    allocate,
    decimal_text,
    expected_loss_minor,
    exponent_of,
    format_minor,
    minor_factor,
    round_minor,
    to_minor,
)


def series(*values: Decimal) -> pl.DataFrame:
    return pl.DataFrame({"value": pl.Series(values, dtype=DECIMAL)})


@pytest.mark.parametrize(("currency", "exponent"), [("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)])
def test_exponent(currency: str, exponent: int) -> None:
    assert exponent_of(currency) == exponent


@pytest.mark.parametrize("currency", ["", "eur", "XXX", "EURO"])
def test_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(MoneyError, match="unknown currency") as caught:
        exponent_of(currency)
    assert caught.value.facts == {"currency": currency}


def test_factor_of_an_unknown_currency_is_null() -> None:
    frame = pl.DataFrame({"currency": ["JPY", "EUR", "KWD", "XXX"]})
    found = frame.select(minor_factor(pl.col("currency"))).to_series()
    assert found.to_list() == [1, 100, 1000, None]
    assert found.dtype == DECIMAL


@settings(max_examples=200, deadline=None)
@given(st.decimals(-(10**12), 10**12, places=12, allow_nan=False))
def test_rounding_is_half_away_from_zero(value: Decimal) -> None:
    found = series(value).select(round_minor(pl.col("value"))).item()
    assert found == int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def test_unknown_rounding_is_refused() -> None:
    with pytest.raises(MoneyError, match="unknown rounding"):
        round_minor(pl.col("value"), "half_even")  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(
    st.decimals(-(10**9), 10**9, places=6, allow_nan=False),
    st.sampled_from(sorted(CURRENCY_EXPONENTS)),
)
def test_major_to_minor_units(amount: Decimal, currency: str) -> None:
    frame = series(amount).with_columns(currency=pl.lit(currency))
    found = frame.select(to_minor(pl.col("value"), pl.col("currency"))).item()
    exact = amount.scaleb(exponent_of(currency))
    assert found == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def test_product_of_the_largest_quantity_and_price_is_exact() -> None:
    frame = pl.DataFrame(
        {
            "quantity": pl.Series([MAX_QUANTITY - 1], dtype=DECIMAL),
            "price": pl.Series([MAX_PRICE - 1], dtype=DECIMAL),
        }
    )
    product = frame.select(pl.col("quantity") * pl.col("price")).item()
    assert product == (MAX_QUANTITY - 1) * (MAX_PRICE - 1)


@given(
    st.integers(-(10**13), 10**13),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any),
)
def test_allocated_parts_sum_to_the_whole_and_mirror(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert allocate(-total, weights) == [-part for part in parts]
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        # No part is a whole unit away from its exact share, and none has the wrong sign.
        assert abs(part * whole - total * weight) < whole
        assert part * total >= 0


@pytest.mark.parametrize("weights", [[], [0, 0], [2, -1]])
def test_impossible_weights_are_refused(weights: list[int]) -> None:
    with pytest.raises((MoneyError, ValueError)):
        allocate(100, weights)


@given(st.decimals(-(10**20), 10**20, places=12, allow_nan=False))
def test_decimal_text_comes_back_and_is_what_contracts_accept(value: Decimal) -> None:
    text = decimal_text(value)
    assert Decimal(text) == value
    assert pl.Series([text]).str.contains(DECIMAL_PATTERN).item()
    assert pl.Series([text]).cast(DECIMAL).item() == value


def test_amounts_for_people() -> None:
    assert format_minor(-5, "EUR") == "-0.05 EUR"
    assert format_minor(1_234_567, "KWD") == "1,234.567 KWD"


def test_expected_loss_is_exposure_times_probability() -> None:
    frame = pl.DataFrame({"exposure": [10_000, 10**13, 3], "ppm": [250_000, 999_999, 500_000]})
    found = frame.select(expected_loss_minor(pl.col("exposure"), pl.col("ppm"))).to_series()
    assert found.to_list() == [2_500, 9_999_990_000_000, 2]
