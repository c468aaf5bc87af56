"""Checks that compare columns of one row. A null never fails, unless the check is about nulls."""

from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from prebill.core.errors import ContractError

Arguments = Mapping[str, object]


def out_of_order(arguments: Arguments) -> tuple[str, pl.Expr]:
    """Fail where ``then`` does not come after ``first`` (or before it, when not strict)."""
    first, then = str(arguments["first"]), str(arguments["then"])
    if arguments.get("strict", True):
        return then, pl.col(then) <= pl.col(first)
    return then, pl.col(then) < pl.col(first)


def absent_though_required(arguments: Arguments) -> tuple[str, pl.Expr]:
    """Fail where ``column`` is null while ``when`` has one of the ``values``."""
    column, when, values = str(arguments["column"]), str(arguments["when"]), arguments["values"]
    if not isinstance(values, list) or not values:
        message = "required_when needs a list of values"
        raise ContractError(message, values=values)
    return column, pl.col(column).is_null() & pl.col(when).is_in(values)


#: Check name → function that gives the column to blame and the expression that is true for it.
ROW_CHECKS: Final[Mapping[str, Callable[[Arguments], tuple[str, pl.Expr]]]] = {
    "ordered": out_of_order,
    "required_when": absent_though_required,
}

#: Names of the arguments that each check takes; which of them name columns; which may be absent.
ROW_ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "ordered": frozenset({"first", "then", "strict"}),
    "required_when": frozenset({"column", "when", "values"}),
}
