"""Amounts and figures in a reviewer's words, as expressions over whole frames."""

import polars as pl

from prebill.core.money import CURRENCY_EXPONENTS


def money_text(amount_minor: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Write amounts as ``format_minor`` does.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [-123456, 500], "c": ["EUR", "JPY"]})
    >>> frame.select(text=money_text(pl.col("a"), pl.col("c")))["text"].to_list()
    ['-1,234.56 EUR', '500 JPY']
    """
    exponent = currency.replace_strict(CURRENCY_EXPONENTS, default=2, return_dtype=pl.Int64)
    digits = amount_minor.abs().cast(pl.String).str.zfill(exponent + 1)
    whole = digits.str.head(digits.str.len_chars().cast(pl.Int64) - exponent)
    fraction = (
        pl.when(exponent > 0).then(pl.lit(".") + digits.str.tail(exponent)).otherwise(pl.lit(""))
    )
    sign = pl.when(amount_minor < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, _grouped(whole), fraction, pl.lit(" "), currency)


def estimated_minor(value: pl.Expr) -> pl.Expr:
    """Make a float estimate whole minor units, for findings: it ranks and informs, never posts."""
    return value.fill_nan(None).clip(-1e15, 1e15).round(0).cast(pl.Int64)


def figure_text(value: pl.Expr) -> pl.Expr:
    """Write a quantity with thousands separators and at most two decimals."""
    rounded = value.cast(pl.Float64).round(2)
    whole = _grouped(rounded.abs().floor().cast(pl.Int64).cast(pl.String))
    cents = ((rounded.abs() - rounded.abs().floor()) * 100).round(0).cast(pl.Int64)
    fraction = (
        pl.when(cents > 0)
        .then(pl.lit(".") + cents.cast(pl.String).str.zfill(2))
        .otherwise(pl.lit(""))
    )
    sign = pl.when(rounded < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, whole, fraction)


def percent_text(share: pl.Expr) -> pl.Expr:
    """Write a share as a percentage with one decimal."""
    return pl.concat_str((share * 100).round(1).cast(pl.String), pl.lit(" %"))


def over_under(amount_minor: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Say which way the money goes: over-billed or under-billed about so much."""
    way = pl.when(amount_minor >= 0).then(pl.lit("over-billed")).otherwise(pl.lit("under-billed"))
    return pl.concat_str(way, pl.lit(" about "), money_text(amount_minor.abs(), currency))


def _grouped(digits: pl.Expr) -> pl.Expr:
    """Thousands separators: group from the right."""
    return digits.str.reverse().str.extract_all(r"\d{1,3}").list.join(",").str.reverse()
