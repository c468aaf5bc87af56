"""Strict readers of a policy text's values: what is unknown, absent or out of bounds is refused."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import polars as pl

from prebill.core.errors import PolicyError
from prebill.core.money import CURRENCY_EXPONENTS
from prebill.core.policy.action import Action

_EXPONENT_ELSE: Final = 2


def number(settings: Mapping[str, object], name: str, where: str, **bounds: float) -> float:
    """Read a number between ``low`` and ``high``.

    Raises
    ------
    PolicyError
        It is absent, not a number, or out of bounds.
    """
    value = settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"{where}: {name} must be a number, not {value!r}"
        raise PolicyError(message, where=where, setting=name)
    low, high = bounds.get("low", 0.0), bounds.get("high", float("inf"))
    if not low <= value <= high:
        message = f"{where}: {name} is {value}, outside {low} to {high}"
        raise PolicyError(message, where=where, setting=name)
    return float(value)


def text(settings: Mapping[str, object], name: str, where: str) -> str:
    """Read a text that is not empty."""
    value = settings.get(name)
    if not isinstance(value, str) or not value:
        message = f"{where}: {name} must be a text, not {value!r}"
        raise PolicyError(message, where=where, setting=name)
    return value


def texts(settings: Mapping[str, object], name: str, where: str) -> list[str]:
    """Read a list of texts that is not empty."""
    value = settings.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        message = f"{where}: {name} must be a list of texts, not {value!r}"
        raise PolicyError(message, where=where, setting=name)
    return [str(item) for item in value]


def optional_number(
    settings: Mapping[str, object], name: str, where: str, **bounds: float
) -> float | None:
    """Read a number that may be left out."""
    return number(settings, name, where, **bounds) if name in settings else None


def one_or_more(settings: Mapping[str, object], name: str, where: str) -> list[str]:
    """Read a text or a list of texts."""
    value = settings.get(name)
    return texts({name: [value] if isinstance(value, str) else value}, name, where)


def keys(
    mapping: object,
    where: str,
    needed: frozenset[str] | set[str],
    optional: frozenset[str] | set[str] = frozenset(),
) -> Mapping[str, object]:
    """Take a mapping that has the needed keys and no others than the optional ones.

    Raises
    ------
    PolicyError
        It is no mapping, lacks a key or has one that nobody knows.
    """
    if not isinstance(mapping, dict):
        message = f"{where} must be a mapping"
        raise PolicyError(message, where=where)
    absent = sorted(needed - set(mapping))
    unknown = sorted(str(key) for key in mapping if key not in needed | optional)
    if absent or unknown:
        parts = [f"unknown keys {unknown}"] * bool(unknown) + [f"absent keys {absent}"] * bool(
            absent
        )
        message = f"{where} has {' and '.join(parts)}"
        raise PolicyError(message, where=where, unknown=unknown, absent=absent)
    return mapping


def chosen(value: object, known: Mapping[str, object] | tuple[str, ...], where: str) -> str:
    """Take one of the known words."""
    if value not in known:
        message = f"{where} must be one of {', '.join(known)}, not {value!r}"
        raise PolicyError(message, where=where)
    return str(value)


def action_of(value: object, where: str) -> Action:
    """Read release, review or hold."""
    names = {action.name.lower(): action for action in Action}
    if value not in names:
        message = f"{where}: action must be one of {', '.join(names)}, not {value!r}"
        raise PolicyError(message, where=where)
    return names[str(value)]


def money_limits(settings: Mapping[str, object], name: str, where: str) -> dict[str, float]:
    """Read amounts by currency, in major units of it, with ``default`` for every other currency.

    Raises
    ------
    PolicyError
        There is no default, a currency is unknown, or an amount is negative or too large.
    """
    given = settings.get(name)
    if not isinstance(given, dict) or "default" not in given:
        message = f"{where}: {name} must be a mapping of currencies with a default"
        raise PolicyError(message, where=where, setting=name)
    unknown = sorted(str(key) for key in given if key not in {"default", *CURRENCY_EXPONENTS})
    if unknown:
        message = f"{where}: {name} name unknown currencies {', '.join(unknown)}"
        raise PolicyError(message, where=where, setting=name)
    return {str(key): number(given, key, f"{where}.{name}", high=1e11) for key in given}


def limit_minor(limits: Mapping[str, float]) -> pl.Expr:
    """The limit of a row's ``currency`` in its minor units."""
    otherwise = limits["default"]
    by_currency = {
        currency: minor_of(limits.get(currency, otherwise), exponent)
        for currency, exponent in CURRENCY_EXPONENTS.items()
    }
    return pl.col("currency").replace_strict(
        by_currency, default=minor_of(otherwise, _EXPONENT_ELSE), return_dtype=pl.Int64
    )


def minor_of(limit: float, exponent: int) -> int:
    """A limit in minor units; what is below one is cut."""
    return int(Decimal(str(limit)).scaleb(exponent))
