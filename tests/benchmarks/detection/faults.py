"""The ways in which a right invoice is made wrong. Nothing here knows how faults are found.

A fault alters what a mistake in life alters: events, quantities, prices, tax codes, the currency.
What follows from it (quantities from events, amounts, tax, totals) is computed afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import numpy as np
import polars as pl

from tests.benchmarks.detection.series import PriceList

Line = dict[str, Any]
#: Ends the id of an invoice that was drafted a second time.
AGAIN: Final = "-again"
MILLIONTH: Final = Decimal("0.000001")
#: What a euro costs in dollars, francs, crowns and yen, or the other way round: somebody converts
#: twice or not at all.
MISTAKEN_RATES: Final = ("1.17", "0.86", "7.46", "11.3", "162")


class NoEffectError(Exception):
    """This fault can't happen to this invoice: another is tried."""


@dataclass
class Draft:
    """One invoice, open to alteration. ``events`` are those of the billed period."""

    head: dict[str, Any]
    lines: list[Line]
    previous: list[Line]
    events: pl.DataFrame
    meters: Mapping[str, str]
    tax_rates: Mapping[str, Decimal]
    price_lists: Mapping[str, PriceList]
    rng: np.random.Generator

    @property
    def usage_lines(self) -> list[Line]:
        """Lines with a measured quantity: those of a meter, or all where nothing is metered."""
        return [line for line in self.lines if not self.meters or line["product"] in self.meters]

    @property
    def days(self) -> int:
        return int((self.head["period_end_on"] - self.head["period_start_on"]).days)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def some_lines(self, low: float, high: float) -> list[Line]:
        """Neighbouring usage lines, a share of all."""
        lines = self.usage_lines
        count = max(1, round(len(lines) * self.rng.uniform(low, high)))
        start = self.rng.integers(0, len(lines) - count + 1)
        return lines[start : start + count]

    def stretch(self, shortest: float, longest: float) -> pl.Expr:
        """Tell the events of some days in a row, a share of the period between the two."""
        length = max(1, round(self.days * self.rng.uniform(shortest, longest)))
        first = int(self.rng.integers(0, max(self.days - length, 0) + 1))
        from_on = self.head["period_start_on"] + timedelta(days=first)
        day = pl.col("occurred_at").dt.date()
        return (day >= from_on) & (day < from_on + timedelta(days=length))

    def scale_quantity(self, lines: list[Line], factor: Decimal) -> None:
        for line in lines:
            line["quantity"] = max((line["quantity"] * factor).to_integral_value(), Decimal(1))

    def scale_events(self, which: pl.Expr, factor: float) -> None:
        """Multiply the quantities of some events; a measured one stays a whole number."""
        scaled = (pl.col("quantity").cast(pl.Float64) * factor).round(0).clip(1)
        self.events = self.events.with_columns(
            quantity=pl.when(which).then(scaled.cast(pl.Int64)).otherwise("quantity")
        )


def duplicate_day(draft: Draft) -> None:
    """A batch is delivered twice and counted twice: under its own ids, or under new ones."""
    if not draft.meters:
        return draft.scale_quantity(draft.some_lines(0.2, 0.6), Decimal(2))
    again = draft.events.filter(draft.stretch(1 / draft.days, max(1 / draft.days, 0.2)))
    if draft.chance(0.5):
        again = again.with_columns(id=pl.format("{}-r", "id"))
    draft.events = pl.concat([draft.events, again])
    return None


def usage_twice(draft: Draft) -> None:
    """Every unit is counted twice, say at both ends of the line."""
    if not draft.meters:
        return draft.scale_quantity(draft.lines, Decimal(2))
    draft.scale_events(pl.lit(value=True), 2.0)
    return None


def missing_days(draft: Draft) -> None:
    """What was used on some days never arrives."""
    if not draft.meters:
        draft.lines[:] = draft.some_lines(0.2, 0.6)
        return
    draft.events = draft.events.filter(~draft.stretch(0.12, 0.45))


def unit_error(draft: Draft) -> None:
    """Thousands for units, or the reverse: on all lines or meters, or on the largest."""
    factor = float(draft.rng.choice([10, 100, 1000, 0.1, 0.001]))
    is_whole = draft.chance(0.6)
    largest = max(draft.usage_lines, key=lambda line: line["quantity"] * line["unit_price"])
    if not draft.meters:
        lines = draft.lines if is_whole else [largest]
        return draft.scale_quantity(lines, Decimal(str(factor)))
    since = draft.head["period_start_on"]
    # The new release of the meter came in the middle; one day has none.
    if draft.chance(0.4) and draft.days > 1:
        since += timedelta(days=int(draft.rng.integers(1, draft.days)))
    which = pl.col("occurred_at").dt.date() >= since
    if not is_whole:
        which &= pl.col("meter") == draft.meters[largest["product"]]
    draft.scale_events(which, factor)
    return None


def wrong_price(draft: Draft) -> None:
    """Billed by another plan, or at prices that are 10 to 60 % off."""
    plans = draft.price_lists.get(draft.head["currency"], ())
    listed = [line for line in draft.lines if all(line["product"] in plan for plan in plans)]
    if plans and listed and draft.chance(0.5):
        paid = listed[-1]
        nearest = min(plans, key=lambda plan: abs(plan[paid["product"]] - paid["unit_price"]))
        others = [plan for plan in plans if plan is not nearest]
        other = others[draft.rng.integers(len(others))]
        for line in listed:
            scale = other[line["product"]] / nearest[line["product"]]
            line["unit_price"] = (line["unit_price"] * scale).quantize(MILLIONTH)
        return
    factor = Decimal(str(round(draft.rng.uniform(1.1, 1.6) ** draft.rng.choice([-1, 1]), 3)))
    step = MILLIONTH if draft.meters else Decimal("0.01")
    for line in draft.lines if draft.chance(0.5) else draft.some_lines(0.05, 0.5):
        line["unit_price"] = (line["unit_price"] * factor).quantize(step)


def wrong_currency(draft: Draft) -> None:
    """The same figures in another currency, or other figures in the same."""
    if draft.chance(0.5):
        draft.head["currency"] = "EUR" if draft.head["currency"] != "EUR" else "USD"
        return
    rate = Decimal(str(draft.rng.choice(MISTAKEN_RATES)))
    step = MILLIONTH if draft.meters else Decimal("0.01")
    for line in draft.lines:
        line["unit_price"] = (line["unit_price"] * rate).quantize(step)


def stuck_meter(draft: Draft) -> None:
    """The reading of one day is reported until the end; without events, last month's lines."""
    if not draft.meters:
        if not draft.previous:
            raise NoEffectError
        draft.lines[:] = [dict(line) for line in draft.previous]
        return
    since = draft.head["period_start_on"] + timedelta(
        days=int(draft.rng.integers(0, max(draft.days // 2, 1)))
    )
    is_later = pl.col("occurred_at").dt.date() >= since
    later = draft.events.filter(is_later).sort("occurred_at", "id")
    first = later.unique(["meter", "source"], keep="first", maintain_order=True)
    frozen = first.select("meter", "source", frozen="quantity")
    draft.events = (
        draft.events.join(frozen, on=["meter", "source"], how="left")
        .with_columns(
            quantity=pl.when(is_later & pl.col("frozen").is_not_null())
            .then("frozen")
            .otherwise("quantity")
        )
        .drop("frozen")
    )


def wrong_tax(draft: Draft) -> None:
    """Another rate of the tables: standard for zero, zero or reduced for standard."""
    codes = {line["tax_code"] for line in draft.lines}
    others = [code for code in draft.tax_rates if code not in codes]
    usual = draft.tax_rates[next(iter(codes))]
    wrong = [code for code in others if draft.tax_rates[code] != usual]
    if not wrong:
        raise NoEffectError
    code = wrong[draft.rng.integers(len(wrong))]
    for line in draft.lines:
        line["tax_code"] = code


def double_billing(draft: Draft) -> None:
    """Every line twice on one invoice, or the invoice twice."""
    if draft.chance(0.5):
        draft.lines.extend([dict(line) for line in draft.lines])
        return
    draft.head["invoice_id"] += AGAIN


FAULTS: Final[dict[str, Callable[[Draft], None]]] = {
    "duplicate day": duplicate_day,
    "usage x2": usage_twice,
    "missing days": missing_days,
    "unit error": unit_error,
    "price or plan": wrong_price,
    "currency": wrong_currency,
    "stuck meter": stuck_meter,
    "wrong tax": wrong_tax,
    "double billing": double_billing,
}


def finish(draft: Draft) -> None:
    """Let quantities follow from events, amounts from quantities, tax and totals from amounts."""
    if draft.meters:
        measured = dict(draft.events.group_by("meter").agg(pl.col("quantity").sum()).iter_rows())
        for line in draft.usage_lines:
            line["quantity"] = Decimal(measured.get(draft.meters[line["product"]], 0))
    for number, line in enumerate(draft.lines, 1):
        line["invoice_id"] = draft.head["invoice_id"]
        line["line_id"] = str(number)
        line["amount_minor"] = _whole(line["quantity"] * line["unit_price"] * 100)
        rate = draft.tax_rates[line["tax_code"]]
        line["tax_minor"] = _whole(line["amount_minor"] * rate / 100)
    subtotal = sum(line["amount_minor"] for line in draft.lines)
    tax = sum(line["tax_minor"] for line in draft.lines)
    draft.head |= {"subtotal_minor": subtotal, "tax_minor": tax, "total_minor": subtotal + tax}


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
