"""Checks of one value: from the text of a column and its typed form to "this row fails".

One function per check, one explicit registry. A null never fails here: ``required`` says that.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import available_timezones

import polars as pl

from prebill.core.errors import ContractError
from prebill.core.money import CURRENCY_EXPONENTS, DECIMAL
from prebill.core.schemas import Kind

Arguments = Mapping[str, object]
ValueCheck = Callable[[pl.Expr, Kind, Arguments], pl.Expr]


def limit_literal(value: object, kind: Kind) -> pl.Expr:
    """Write a limit of a contract as a literal of the column's type.

    Raises
    ------
    ContractError
        The limit can't be read as a value of that kind.
    """
    try:
        if kind is Kind.DECIMAL:
            return pl.lit(Decimal(str(value))).cast(DECIMAL)
        if kind in {Kind.INTEGER, Kind.MINOR}:
            return pl.lit(int(str(value)), dtype=pl.Int64)
        if kind is Kind.FLOAT:
            return pl.lit(float(str(value)), dtype=pl.Float64)
        if kind is Kind.DATE:
            return pl.lit(date.fromisoformat(str(value)), dtype=pl.Date)
        if kind is Kind.INSTANT:
            instant = datetime.fromisoformat(str(value))
            return pl.lit(instant).cast(pl.Datetime("us", "UTC"))
    except (ArithmeticError, ValueError) as error:
        message = f"limit {value!r} is not a value of kind {kind}: write it like the column"
        raise ContractError(message, value=value, kind=kind) from error
    message = f"a column of kind {kind} has no order, so it can't have the limit {value!r}"
    raise ContractError(message, value=value, kind=kind)


def below_minimum(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail below the limit."""
    return typed < limit_literal(arguments["value"], kind)


def at_or_below_minimum(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail at the limit and below."""
    return typed <= limit_literal(arguments["value"], kind)


def above_maximum(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail above the limit."""
    return typed > limit_literal(arguments["value"], kind)


def at_or_above_maximum(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail at the limit and above."""
    return typed >= limit_literal(arguments["value"], kind)


def _length(arguments: Arguments) -> int:
    length = arguments["value"]
    if not isinstance(length, int) or length < 0:
        message = f"length {length!r} is not a whole number"
        raise ContractError(message, value=length)
    return length


def too_short(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail texts with fewer characters."""
    _only_text("minLength", kind)
    return typed.str.len_chars() < _length(arguments)


def too_long(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail texts with more characters."""
    _only_text("maxLength", kind)
    return typed.str.len_chars() > _length(arguments)


def off_pattern(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail texts that the regular expression does not match."""
    _only_text("pattern", kind)
    pattern = str(arguments["value"])
    try:
        pl.select(pl.lit("").str.contains(pattern))
    except pl.exceptions.ComputeError as error:
        message = f"pattern {pattern!r} is not a regular expression: {error}"
        raise ContractError(message, pattern=pattern) from error
    return ~typed.str.contains(pattern)


def not_listed(typed: pl.Expr, kind: Kind, arguments: Arguments) -> pl.Expr:
    """Fail values outside the list."""
    _only_text("validValues", kind)
    values = arguments["values"]
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        message = "validValues must be a list of texts that is not empty"
        raise ContractError(message, values=values)
    return ~typed.is_in(values)


def unknown_currency(typed: pl.Expr, kind: Kind, _: Arguments) -> pl.Expr:
    """Fail what is not an ISO 4217 code that ``core/money`` knows."""
    _only_text("currency", kind)
    return ~typed.is_in(list(CURRENCY_EXPONENTS))


def unknown_country(typed: pl.Expr, kind: Kind, _: Arguments) -> pl.Expr:
    """Fail what is not an ISO 3166 alpha-2 code."""
    _only_text("country", kind)
    return ~typed.is_in(list(country_codes()))


def unknown_time_zone(typed: pl.Expr, kind: Kind, _: Arguments) -> pl.Expr:
    """Fail what is not an IANA zone."""
    _only_text("time_zone", kind)
    return ~typed.is_in(list(zone_names()))


@cache
def country_codes() -> tuple[str, ...]:
    """Return the ISO 3166 alpha-2 codes that the time zone database lists."""
    table = resources.files("tzdata").joinpath("zoneinfo", "iso3166.tab")
    lines = table.read_text(encoding="utf-8").splitlines()
    return tuple(sorted(line[:2] for line in lines if line and not line.startswith("#")))


@cache
def zone_names() -> tuple[str, ...]:
    """Return the names of the IANA zones."""
    return tuple(sorted(available_timezones()))


def _only_text(rule: str, kind: Kind) -> None:
    if kind is not Kind.TEXT:
        message = f"the rule {rule} is for texts, not for columns of kind {kind}"
        raise ContractError(message, rule=rule, kind=kind)


#: Check name → function. ODCS options and metrics keep their own names.
VALUE_CHECKS: Final[Mapping[str, ValueCheck]] = {
    "minimum": below_minimum,
    "exclusiveMinimum": at_or_below_minimum,
    "maximum": above_maximum,
    "exclusiveMaximum": at_or_above_maximum,
    "minLength": too_short,
    "maxLength": too_long,
    "pattern": off_pattern,
    "validValues": not_listed,
    "currency": unknown_currency,
    "country": unknown_country,
    "time_zone": unknown_time_zone,
}
