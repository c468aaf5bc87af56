"""Reads the correction of a case's form: which kind, and its fields. Empty fields say nothing.

A proposed correction comes whole, as JSON; whether it is one is checked where all are.
"""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from prebill.core.errors import InputError
from prebill.core.money import exponent_of

#: Kind of a correction that was proposed: the field ``correction`` has it whole.
PROPOSED: Final = "proposed"


def correction_of(form: Mapping[str, str], currency: str) -> dict[str, Any]:
    """Return the correction as ``workflows.correction_kinds`` reads it.

    Raises
    ------
    InputError
        No kind was chosen, or an amount is no amount of the currency.
    """
    kind = form.get("kind", "")
    if kind == PROPOSED:
        return _proposed(form.get("correction", ""))
    if kind == "usage_quantity":
        return _given(kind, charge_id=form.get("charge_id"), quantity=form.get("usage_quantity"))
    if kind == "phase":
        names = ("phase_id", "plan_id", "price_book_id", "discount_percent", "discount_ends_on")
        values = {name: form.get(name) for name in (*names, "begins_on")}
        return _given(kind, **values, quantity=form.get("phase_quantity"))
    if kind == "tax_status":
        given = _given(kind, country=form.get("country"), tax_id=form.get("tax_id"))
        return {**given, "is_business": form.get("is_business") == "yes"}
    if kind == "one_off_line":
        amount = minor_of(form.get("line_amount", ""), currency)
        return _given(kind, text=form.get("line_text"), amount_minor=amount)
    message = "choose what to correct: usage, subscription, tax status or a line"
    raise InputError(message)


def _proposed(text: str) -> dict[str, Any]:
    try:
        correction = json.loads(text)
    except ValueError:
        correction = None
    if not isinstance(correction, dict):
        message = "the proposed correction can't be read: reload the case"
        raise InputError(message)
    return correction


def _given(kind: str, **values: str | int | None) -> dict[str, Any]:
    cleaned = {
        name: value.strip() if isinstance(value, str) else value for name, value in values.items()
    }
    return {"kind": kind, **{name: value for name, value in cleaned.items() if value != ""}}


def minor_of(text: str, currency: str) -> int:
    """Read an amount in major units exactly.

    Raises
    ------
    InputError
        It is no number, or has more decimals than the currency.

    Examples
    --------
    >>> minor_of("-1,250.50", "EUR"), minor_of("500", "JPY")
    (-125050, 500)
    """
    plain = text.strip().replace(",", "").replace("−", "-")
    try:
        amount = Decimal(plain).scaleb(exponent_of(currency))
    except InvalidOperation:
        message = f"{text!r} is no amount: write it like 1250.50"
        raise InputError(message) from None
    if not amount.is_finite() or amount != amount.to_integral_value():
        message = f"{text!r} has more decimals than {currency}"
        raise InputError(message)
    return int(amount)
