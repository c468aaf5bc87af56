"""Exact money: minor units, decimals within contract limits, the one rounding, allocation.

The only place where an amount is rounded or cast to an integer. Floats stay outside, except for
the one named crossing :func:`expected_loss_minor`, which ranks and routes and is never posted.
"""

from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Final

import polars as pl

from prebill.core.errors import MoneyError

DECIMAL_SCALE: Final = 12
DECIMAL: Final = pl.Decimal(38, DECIMAL_SCALE)

#: Contract limits (absolute, exclusive): products of two stay inside Decimal(38, 12).
MAX_QUANTITY: Final = Decimal(10) ** 12
MAX_PRICE: Final = Decimal(10) ** 9
MAX_AMOUNT_MINOR: Final = 10**13

#: Decimal text that polars casts exactly: no exponent, at most 12 decimals.
DECIMAL_PATTERN: Final = r"^[+-]?\d{1,25}(\.\d{1,12})?$"

#: ISO 4217 minor units that are not 2 (list of 2024-06-25).
_EXPONENTS: Final = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"], 0
    ),
    **dict.fromkeys(["VND", "VUV", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}
_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD YER ZAR ZMW ZWG"
).split()
CURRENCY_EXPONENTS: Final[dict[str, int]] = {**dict.fromkeys(_TWO_DECIMALS, 2), **_EXPONENTS}


class Rounding(StrEnum):
    """How a fraction of a minor unit becomes a whole one. Always stated, never a default."""

    HALF_AWAY_FROM_ZERO = "half_away_from_zero"


def exponent_of(currency: str) -> int:
    """Return the number of decimals of ``currency`` (JPY 0, EUR 2, KWD 3).

    Raises
    ------
    MoneyError
        The currency is not in ISO 4217.

    Examples
    --------
    >>> exponent_of("JPY"), exponent_of("EUR"), exponent_of("KWD")
    (0, 2, 3)
    """
    try:
        return CURRENCY_EXPONENTS[currency]
    except KeyError:
        message = f"unknown currency {currency!r}: use an ISO 4217 code such as EUR"
        raise MoneyError(message, currency=currency) from None


@cache
def _factors() -> pl.DataFrame:
    codes = list(CURRENCY_EXPONENTS)
    factors = [Decimal(10) ** CURRENCY_EXPONENTS[code] for code in codes]
    return pl.DataFrame(
        {"currency": codes, "factor": pl.Series(factors, dtype=pl.Decimal(38, DECIMAL_SCALE))}
    )


def minor_factor(currency: pl.Expr) -> pl.Expr:
    """Return 10^exponent of each currency as a Decimal expression; null where it is unknown."""
    table = _factors()
    return currency.replace_strict(
        table["currency"], table["factor"], default=None, return_dtype=DECIMAL
    )


def round_minor(amount: pl.Expr, mode: Rounding = Rounding.HALF_AWAY_FROM_ZERO) -> pl.Expr:
    """Round a Decimal amount *in minor units* to whole minor units (Int64).

    Parameters
    ----------
    amount : pl.Expr, Decimal
        Amount already multiplied to minor units.
    mode : Rounding
        Stated by the caller's policy; only half away from zero is known today.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": ["2.5", "-2.5", "2.499999999999"]}).cast(DECIMAL)
    >>> frame.select(round_minor(pl.col("a")))["a"].to_list()
    [3, -3, 2]
    """
    if mode is not Rounding.HALF_AWAY_FROM_ZERO:
        message = f"unknown rounding mode {mode!r}"
        raise MoneyError(message, mode=mode)
    return amount.round(0, mode="half_away_from_zero").cast(pl.Int64)


def to_minor(amount: pl.Expr, currency: pl.Expr) -> pl.Expr:
    """Round a Decimal amount in major units to minor units of its currency (Int64)."""
    return round_minor(amount * minor_factor(currency))


def decimal_text(value: Decimal) -> str:
    """Write a decimal without exponent and trailing zeros, as files and tables carry it.

    Examples
    --------
    >>> decimal_text(Decimal("1E+3")), decimal_text(Decimal("0.500"))
    ('1000', '0.5')
    """
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_minor(amount_minor: int, currency: str) -> str:
    """Write an amount for people.

    Examples
    --------
    >>> format_minor(-123456, "EUR"), format_minor(500, "JPY")
    ('-1,234.56 EUR', '500 JPY')
    """
    exponent = exponent_of(currency)
    value = Decimal(amount_minor).scaleb(-exponent)
    return f"{value:,.{exponent}f} {currency}"


def allocate(total_minor: int, weights: list[int]) -> list[int]:
    """Split an amount by integer weights so that the parts sum to the whole.

    The remainder goes, unit by unit, to the largest fractions (first one wins a tie), so that
    ``allocate(-t, w)`` mirrors ``allocate(t, w)`` exactly.

    Raises
    ------
    MoneyError
        There is no positive weight, or one is negative.

    Examples
    --------
    >>> allocate(100, [1, 1, 1]), allocate(-100, [1, 1, 1])
    ([34, 33, 33], [-34, -33, -33])
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        message = "weights must not be negative and must sum to more than zero"
        raise MoneyError(message, weights=weights)
    sign = -1 if total_minor < 0 else 1
    shares = [divmod(abs(total_minor) * weight, whole) for weight in weights]
    parts = [quotient for quotient, _ in shares]
    order = sorted(range(len(weights)), key=lambda index: (-shares[index][1], index))
    for index in order[: abs(total_minor) - sum(parts)]:
        parts[index] += 1
    return [sign * part for part in parts]


def expected_loss_minor(exposure_minor: pl.Expr, probability_ppm: pl.Expr) -> pl.Expr:
    """Cross from a float probability back to money: the one place that may.

    Parameters
    ----------
    exposure_minor : pl.Expr, Int64
        Money at stake, minor units, >= 0.
    probability_ppm : pl.Expr, Int64
        Probability already rounded to millionths.

    Returns
    -------
    pl.Expr, Int64
        Minor units. It ranks and routes; it enters no invoice, journal or approval limit.
    """
    product = exposure_minor.cast(DECIMAL) * probability_ppm.cast(DECIMAL)
    return round_minor(product / pl.lit(1_000_000, dtype=pl.Int64).cast(DECIMAL))
