"""The rules of billing once more, day by day, with fractions and plain Python. No code is shared.

Slow and simple on purpose: what a rule means can be read here.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]


@dataclass
class Case:
    """One subscription with all that billing reads of it."""

    contract: Row
    subscription: Row
    phases: list[Row]
    charges: list[Row]
    tiers: list[Row]
    meters: dict[str, str]
    currency_exponent: int
    tax_percent: Fraction
    events: list[Row] = field(default_factory=list)


@dataclass(frozen=True, order=True)
class Line:
    charge_id: str
    service_start_on: date
    service_end_on: date
    quantity: Fraction
    gross_minor: int
    discount_minor: int
    amount_minor: int
    tax_minor: int


def half_away(value: Fraction, digits: int = 0) -> Fraction:
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**digits)


def lines_of(case: Case, start_on: date, end_on: date) -> list[Line]:
    days = [start_on + timedelta(n) for n in range((end_on - start_on).days)]
    phase_of = {day: phase_in_force(case, day) for day in days}
    lines: list[Line] = []
    for charge_id in sorted({charge["charge_id"] for charge in case.charges}):
        served = [
            (day, phase, charge)
            for day in days
            if (phase := phase_of[day]) and (charge := charge_on(case, phase, charge_id))
        ]
        # A charge id may be metered in one plan and a fee in the next: those are different lines.
        for kind in ("metered", "prorated", "once"):
            own = [one for one in served if kind_of(one[2]) == kind]
            lines += [line_of(case, run, len(days)) for run in runs_of(own)]
    return sorted(lines)


def kind_of(charge: Row) -> str:
    if charge["quantity_source"] == "metered":
        return "metered"
    return "prorated" if charge["is_prorated"] else "once"


def phase_in_force(case: Case, day: date) -> Row | None:
    bounds = (
        (case.contract["starts_on"], case.contract["ends_on"]),
        (case.subscription["started_on"], case.subscription["ended_on"]),
    )
    if any(day < first or (last and day >= last) for first, last in bounds):
        return None
    found = [
        phase
        for phase in case.phases
        if phase["effective_from_on"] <= day
        and (phase["effective_to_on"] is None or day < phase["effective_to_on"])
    ]
    return max(found, key=lambda phase: phase["effective_from_on"], default=None)


def charge_on(case: Case, phase: Row, charge_id: str) -> Row | None:
    key = (phase["price_book_id"], phase["plan_id"], charge_id)
    for charge in case.charges:
        if (charge["price_book_id"], charge["plan_id"], charge["charge_id"]) == key:
            return charge
    return None


def has_discount(phase: Row, day: date) -> bool:
    return phase["discount_ends_on"] is None or day < phase["discount_ends_on"]


def runs_of(served: list[tuple[date, Row, Row]]) -> list[list[tuple[date, Row, Row]]]:
    """Group served days to lines."""
    runs: list[list[tuple[date, Row, Row]]] = []
    for day, phase, charge in served:
        if runs and belongs(runs[-1], day, phase, charge):
            runs[-1].append((day, phase, charge))
        else:
            runs.append([(day, phase, charge)])
    return runs


def belongs(run: list[tuple[date, Row, Row]], day: date, phase: Row, charge: Row) -> bool:
    last_day, last_phase, last_charge = run[-1]
    first_phase = run[0][1]
    if charge["quantity_source"] == "metered":
        return (
            day == last_day + timedelta(1)
            and charge is last_charge
            and phase["discount_percent"] == first_phase["discount_percent"]
            and phase["discount_ends_on"] == first_phase["discount_ends_on"]
        )
    if not charge["is_prorated"]:
        return True
    return (
        day == last_day + timedelta(1)
        and phase is last_phase
        and has_discount(phase, day) == has_discount(last_phase, last_day)
    )


def line_of(case: Case, run: list[tuple[date, Row, Row]], days_in_period: int) -> Line:
    first_day, phase, charge = run[0]
    last_day = run[-1][0]
    end_on = last_day + timedelta(1)
    days = (end_on - first_day).days
    is_metered = charge["quantity_source"] == "metered"
    if is_metered:
        quantity = metered(case, charge["meter"], first_day, end_on)
    elif charge["quantity_source"] == "subscribed":
        quantity = Fraction(phase["quantity"])
    else:
        quantity = Fraction(1)
    share = Fraction(days, days_in_period) if charge["is_prorated"] else Fraction(1)
    included = Fraction(charge["included_quantity"])
    if is_metered:
        included = half_away(included * share, 12)
        share = Fraction(1)
    amount = price(case, charge, max(quantity - included, Fraction(0)))
    gross = half_away(amount * share * 10**case.currency_exponent)
    percent = Fraction(phase["discount_percent"]) if has_discount(phase, first_day) else 0
    discount = half_away(gross * percent / 100)
    net = gross - discount
    tax = half_away(net * case.tax_percent / 100)
    return Line(
        charge["charge_id"],
        first_day,
        end_on,
        quantity,
        int(gross),
        int(discount),
        int(net),
        int(tax),
    )


def metered(case: Case, meter: str, first_day: date, end_on: date) -> Fraction:
    zone = ZoneInfo(case.contract["time_zone"])
    inside = [
        event
        for event in case.events
        if event["meter"] == meter and first_day <= local_date(event["occurred_at"], zone) < end_on
    ]
    kind = case.meters[meter]
    quantities = [Fraction(event["quantity"]) for event in inside]
    if kind == "sum":
        return sum(quantities, Fraction(0))
    if kind == "count":
        return Fraction(len(inside))
    if kind == "max":
        return max(quantities, default=Fraction(0))
    if kind == "unique":
        values = {event["unique_value"] for event in inside} - {None}
        return Fraction(len(values))
    last = max(
        inside, key=lambda event: (event["occurred_at"], event["source"], event["id"]), default=None
    )
    return Fraction(last["quantity"]) if last else Fraction(0)


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()


def price(case: Case, charge: Row, units: Fraction) -> Fraction:
    model = charge["charge_model"]
    if model == "flat":
        return Fraction(charge["unit_price"])
    if model == "per_unit":
        return units * Fraction(charge["unit_price"])
    if model == "package":
        packages = -(-units // Fraction(charge["package_size"]))
        return packages * Fraction(charge["unit_price"])
    key = (charge["price_book_id"], charge["plan_id"], charge["charge_id"])
    tiers = [
        tier
        for tier in case.tiers
        if (tier["price_book_id"], tier["plan_id"], tier["charge_id"]) == key
    ]
    total = Fraction(0)
    for tier in tiers:
        low = Fraction(tier["from_quantity"])
        high = None if tier["up_to_quantity"] is None else Fraction(tier["up_to_quantity"])
        if units <= low:
            continue
        if model == "graduated":
            part = units - low if high is None else min(units, high) - low
            total += part * Fraction(tier["unit_price"]) + Fraction(tier["flat_fee"])
        elif high is None or units <= high:
            total += units * Fraction(tier["unit_price"]) + Fraction(tier["flat_fee"])
    return total
