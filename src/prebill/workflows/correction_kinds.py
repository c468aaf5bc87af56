"""The kinds of correction a person may enter, checked when they come in.

Each is made at its source, so that the next month doesn't repeat the error: a phase is amended, a
customer's tax status is set, a metered quantity is replaced, or a one-off line is added.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar, Final

from prebill.core.errors import InputError
from prebill.core.money import MAX_AMOUNT_MINOR, MAX_QUANTITY, decimal_text


@dataclass(frozen=True, slots=True)
class UsageQuantity:
    """The metered quantity of a charge, as it should have been."""

    kind: ClassVar[str] = "usage_quantity"
    charge_id: str
    quantity: str


@dataclass(frozen=True, slots=True)
class PhaseAmendment:
    """New values of a subscription's phase: recorded now, in force as the phase is.

    With ``begins_on`` the phase ends there, and one with the new values follows it.
    """

    kind: ClassVar[str] = "phase"
    phase_id: str
    plan_id: str | None = None
    price_book_id: str | None = None
    quantity: str | None = None
    discount_percent: str | None = None
    discount_ends_on: str | None = None
    begins_on: str | None = None


@dataclass(frozen=True, slots=True)
class TaxStatus:
    """Where the customer is, and whether it is a business with a tax id."""

    kind: ClassVar[str] = "tax_status"
    country: str | None = None
    region: str | None = None
    tax_id: str | None = None
    is_business: bool | None = None


@dataclass(frozen=True, slots=True)
class OneOffLine:
    """A line on this draft alone; a negative amount gives something back."""

    kind: ClassVar[str] = "one_off_line"
    text: str
    amount_minor: int


Correction = UsageQuantity | PhaseAmendment | TaxStatus | OneOffLine
KINDS: Final[dict[str, type[Correction]]] = {
    one.kind: one for one in (UsageQuantity, PhaseAmendment, TaxStatus, OneOffLine)
}


def parse_correction(given: Mapping[str, Any]) -> Correction:
    """Read a correction from JSON.

    Raises
    ------
    InputError
        Unknown kind or field, a value of the wrong form, or nothing to change.

    Examples
    --------
    >>> parse_correction({"kind": "one_off_line", "text": "goodwill", "amount_minor": -500})
    OneOffLine(text='goodwill', amount_minor=-500)
    """
    kind = KINDS.get(str(given.get("kind")))
    if kind is None:
        raise InputError(f"unknown correction {given.get('kind')!r}: use one of {', '.join(KINDS)}")
    values = {name: value for name, value in given.items() if name != "kind" and value is not None}
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise InputError(f"a {kind.kind} correction has no {', '.join(unknown)}", unknown=unknown)
    try:
        made = kind(**values)
    except TypeError:
        absent = sorted(known - set(values))
        raise InputError(f"a {kind.kind} correction needs {', '.join(absent)}") from None
    _check(made)
    return made


def as_json(correction: Correction) -> dict[str, Any]:
    """The stored form: kind and the fields that were given."""
    given = {name: value for name, value in asdict(correction).items() if value is not None}
    return {"kind": correction.kind, **given}


def changes_of(correction: PhaseAmendment | TaxStatus) -> dict[str, Any]:
    """The columns that an amendment sets, with typed values."""
    given = {name: value for name, value in asdict(correction).items() if value is not None}
    for name in ("phase_id", "begins_on"):
        given.pop(name, None)
    for name in ("quantity", "discount_percent"):
        if name in given:
            given[name] = Decimal(given[name])
    if "discount_ends_on" in given:
        given["discount_ends_on"] = date.fromisoformat(given["discount_ends_on"])
    return given


def amended(phase: Mapping[str, Any], correction: PhaseAmendment) -> list[dict[str, Any]]:
    """Return the phase as amended, and the phase that follows it if the amendment begins one.

    Raises
    ------
    InputError
        The amendment would begin outside the phase.
    """
    changes = changes_of(correction)
    if correction.begins_on is None:
        return [{**phase, **changes}]
    begins_on = date.fromisoformat(correction.begins_on)
    from_on, to_on = (_as_day(phase[f"effective_{one}_on"]) for one in ("from", "to"))
    if from_on is None or begins_on <= from_on or (to_on is not None and begins_on >= to_on):
        raise InputError(f"{begins_on} is not within the phase {correction.phase_id!r}")
    new_id = f"{correction.phase_id}-{begins_on:%Y%m%d}"
    return [
        {**phase, "effective_to_on": begins_on},
        {**phase, **changes, "phase_id": new_id, "effective_from_on": begins_on},
    ]


def _as_day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _check(correction: Correction) -> None:
    match correction:
        case UsageQuantity():
            _decimal(correction.quantity, "quantity", MAX_QUANTITY)
        case PhaseAmendment():
            _decimal(correction.quantity, "quantity", MAX_QUANTITY)
            _decimal(correction.discount_percent, "discount_percent", Decimal(101))
            _day(correction.discount_ends_on, "discount_ends_on")
            _day(correction.begins_on, "begins_on")
            _something(correction)
        case TaxStatus():
            _something(correction)
        case OneOffLine():
            amount = correction.amount_minor
            if isinstance(amount, bool) or not isinstance(amount, int) or not amount:
                raise InputError("amount_minor must be a whole number other than 0")
            if abs(amount) >= MAX_AMOUNT_MINOR:
                raise InputError("amount_minor is too large")


def _something(correction: PhaseAmendment | TaxStatus) -> None:
    if not changes_of(correction):
        raise InputError(f"a {correction.kind} correction must change something")


def _decimal(value: str | None, name: str, limit: Decimal) -> None:
    if value is None:
        return
    try:
        number = Decimal(str(value))
        is_good = number.is_finite() and 0 <= number < limit
        is_good = is_good and len(decimal_text(number).partition(".")[2]) <= 12
    except InvalidOperation:
        is_good = False
    if not is_good:
        raise InputError(f"{name} must be a number from 0 to below {limit}, not {value!r}")


def _day(value: str | None, name: str) -> None:
    try:
        if value is not None:
            date.fromisoformat(value)
    except ValueError:
        raise InputError(f"{name} must be a date YYYY-MM-DD, not {value!r}") from None
