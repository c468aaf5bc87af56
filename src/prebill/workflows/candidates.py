"""Corrections that could make a held draft pass, read off what its exact judges said. Pure.

A candidate is a guess: whether the draft would pass with it is found by judging it again
(``smallest_change.py``). A statistical judge knows what is ordinary, not what is right: it
gives none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from prebill.core.billing.dedupe import dedupe
from prebill.core.billing.invoicing import windows
from prebill.core.billing.metering import meter_usage
from prebill.core.billing.tax import country_of_tax_id
from prebill.core.billing.usage_days import repeated
from prebill.core.money import decimal_text
from prebill.workflows.correction_kinds import (
    Correction,
    PhaseAmendment,
    TaxStatus,
    UsageQuantity,
)
from prebill.workflows.shard import ShardInputs

Row = Mapping[str, Any]

_BOOK: Final = ("plan_id", "price_book_id")
_DISCOUNT: Final = ("discount_percent", "discount_ends_on")
#: Code of an exact judge → the terms of a phase that it speaks of.
TERMS: Final = {
    "price_differs_from_contract": _BOOK,
    "currency_differs_from_contract": _BOOK,
    "expected_charge_absent": _BOOK,
    "billed_not_contracted": _BOOK,
    "quantity_differs_from_contract": ("quantity",),
    "discount_past_its_end": _DISCOUNT,
    "discount_differs_from_contract": _DISCOUNT,
    "amount_differs_from_contract": (*_BOOK, "quantity", *_DISCOUNT),
}
USAGE: Final = ("duplicate_usage",)
TAX: Final = ("tax_share_unusual", "tax_code_changed", "tax_country_missing")
#: Codes from which a candidate may follow.
CORRECTABLE: Final = (*TERMS, *USAGE, *TAX)
#: What a term of a contract and a phase of a subscription have in common.
SHARED: Final = (*_BOOK, "quantity", *_DISCOUNT)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A correction, and what it changes in words: ``usage of API calls 1,200 instead of 2,400``."""

    correction: Correction
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A draft that waits: its lines, and the findings on it."""

    draft: Row
    lines: Sequence[Row]
    findings: Sequence[Row]

    @property
    def codes(self) -> set[str]:
        """What exact judges object to."""
        return {str(one["code"]) for one in self.findings if one["basis"] == "exact"}


def candidates(asked: Question, inputs: ShardInputs) -> list[Candidate]:
    """Return the corrections worth trying, those that change fewest values first.

    Parameters
    ----------
    asked : Question
        The draft and what was said of it.
    inputs : ShardInputs
        What is known today of its customer, among others.
    """
    found = [*_of_terms(asked, inputs), *_of_usage(asked, inputs), *_of_tax(asked, inputs)]
    distinct = list({one.correction: one for one in found}.values())
    return sorted(distinct, key=lambda one: one.text.count(" instead of "))


# ── Terms: what the contract has and the subscription has not ────────────────────────────────


def _of_terms(asked: Question, inputs: ShardInputs) -> Iterator[Candidate]:
    named = {name for code in asked.codes for name in TERMS.get(code, ())}
    if not named:
        return
    draft, period = asked.draft, inputs.period
    phases = _latest(inputs.billing.phases, "phase_id", subscription_id=draft["subscription_id"])
    terms = _latest(inputs.contract_terms, "term_id", contract_id=draft["contract_id"])
    billed = {str(line["phase_id"]) for line in asked.lines}
    for phase in phases:
        if phase["phase_id"] not in billed:
            continue
        end_on = min(phase["effective_to_on"] or period.end_on, period.end_on)
        term = _in_force(terms, end_on - timedelta(days=1))
        if term is not None:
            yield from _taken_over(phase, term, named)


def _taken_over(phase: Row, term: Row, named: set[str]) -> Iterator[Candidate]:
    """The phase with what the term has; from the term's first day on, if that is later."""
    begins_on = str(term["effective_from_on"])
    is_later = term["effective_from_on"] > phase["effective_from_on"]
    differing = [one for one in SHARED if _differs(phase, term, one)]
    values = {name: _text(term[name]) for name in differing if is_later or name in named}
    if not values:
        return
    phase_id = str(phase["phase_id"])
    changes = ", ".join(_changed(name, values[name], phase[name]) for name in values)
    if is_later:
        correction = PhaseAmendment(phase_id, **values, begins_on=begins_on)
        yield Candidate(correction, f"from {begins_on} on a new phase after {phase_id}: {changes}")
    else:
        yield Candidate(PhaseAmendment(phase_id, **values), f"phase {phase_id}: {changes}")


def _latest(frame: pl.DataFrame, part: str, **owner: str) -> list[dict[str, Any]]:
    """The newest version of each part of one owner: a handful of rows."""
    own = frame.filter(pl.col(name) == value for name, value in owner.items())
    newest = own.sort("recorded_at").unique(part, keep="last")
    return newest.sort("effective_from_on", part).to_dicts()


def _in_force(terms: Sequence[Row], day: Any) -> Row | None:
    begun = [
        one
        for one in terms
        if one["effective_from_on"] <= day
        and (one["effective_to_on"] is None or one["effective_to_on"] > day)
    ]
    return begun[-1] if begun else None


def _differs(phase: Row, term: Row, name: str) -> bool:
    """Whether a value must be taken over; that there is no end can't be entered."""
    return bool(term[name] != phase[name] and term[name] is not None)


def _changed(name: str, value: str, present: Any) -> str:
    shown = name.removesuffix("_id").replace("_", " ")
    return f"{shown} {value} instead of {_text(present) if present is not None else 'none'}"


def _text(value: Any) -> str:
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


# ── Usage: the quantity without what was sent again ──────────────────────────────────────────


def _of_usage(asked: Question, inputs: ShardInputs) -> Iterator[Candidate]:
    if not asked.codes & set(USAGE):
        return
    draft = asked.draft
    events = dedupe(inputs.events.filter(pl.col("customer_id") == draft["customer_id"])).events
    once = events.join(repeated(events).select("source", "id"), on=["source", "id"], how="anti")
    asking = windows(inputs.billing, inputs.period).filter(
        pl.col("subscription_id") == draft["subscription_id"]
    )
    metered = meter_usage(once, inputs.billing.meters, asking).quantities
    charges = [str(line["charge_id"]) for line in asked.lines]
    for line in asked.lines:
        charge_id = str(line["charge_id"])
        rest = metered.filter(pl.col("charge_id") == charge_id)["quantity"]
        billed = Decimal(str(line["quantity"]))
        # A charge on several lines has several windows; a correction sets one quantity.
        if line.get("meter") and charges.count(charge_id) == 1 and len(rest) and rest[0] != billed:
            quantity = decimal_text(rest[0])
            told = f"{rest[0].normalize():,f} instead of {billed.normalize():,f}"
            yield Candidate(UsageQuantity(charge_id, quantity), f"usage of {line['name']} {told}")


# ── Tax: where the customer is, by its tax id and by its last invoice ────────────────────────


def _of_tax(asked: Question, inputs: ShardInputs) -> Iterator[Candidate]:
    if not asked.codes & set(TAX):
        return
    known = inputs.billing.customers.filter(pl.col("customer_id") == asked.draft["customer_id"])
    if known.is_empty():
        return
    customer = known.row(0, named=True)
    for status in _statuses(customer, _last_tax_code(asked, inputs)):
        given = {
            name: value
            for name, value in status.items()
            if value is not None and value != customer[name]
        }
        if given:
            changes = ", ".join(
                f"{name.replace('_', ' ')} {_said(value)} instead of {_said(customer[name])}"
                for name, value in given.items()
            )
            yield Candidate(TaxStatus(**given), f"customer: {changes}")


def _statuses(customer: Row, code: str) -> Iterator[dict[str, Any]]:
    """Where the customer may be instead: its tax id names a country, its last invoice another."""
    by_id = country_of_tax_id(customer["tax_id"])
    if by_id is not None:
        yield {"country": by_id}
        yield {"country": by_id, "is_business": True}
    if code.startswith("US-"):
        yield {"country": "US", "region": code.removeprefix("US-")}
    elif "-S-" in code:
        yield {"country": code.partition("-")[0]}


def _last_tax_code(asked: Question, inputs: ShardInputs) -> str:
    """Tax code of the customer's newest invoice; empty: there is none."""
    own = inputs.history.invoices.filter(pl.col("customer_id") == asked.draft["customer_id"])
    codes = (
        own.join(inputs.history.lines, on="invoice_id")
        .filter(pl.col("tax_code").is_not_null())
        .sort("issued_on", "invoice_id")["tax_code"]
    )
    return str(codes[-1]) if len(codes) else ""


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
