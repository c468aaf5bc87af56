"""What scoring reads, and the as-of rule: which rows a draft may see.

Drafts of one ``issued_on`` are one batch. A draft sees every invoice issued before that day,
earlier drafts too, and the content, never the outcome, of its own batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.core.schemas.inbound import (
    CREDIT_NOTES,
    CUSTOMERS,
    DISPUTES,
    INVOICE_LINES,
    INVOICES,
    PAYMENTS,
)
from prebill.core.schemas.internal import USAGE_DAYS
from prebill.core.scoring.announced import TERMS

#: History that features look back on: a year, the months before that make a centre of its value
#: then, and slack for late issues.
LOOK_BACK_DAYS: Final = 640
#: Most recent history invoices on which tails are calibrated and the forest is fitted.
REFERENCE_ROWS: Final = 30_000
#: The start of the history is no yardstick, if this many rows remain without it.
WARM_UP_DAYS: Final = 60
WARM_ROWS: Final = 1_000
DAY: Final = timedelta(days=1)
#: No rule is snoozed.
SNOOZES: Final = pl.DataFrame(schema={"customer_id": pl.String, "rule_id": pl.String})
_SEED: Final = 1
_SLICES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Books:
    """Invoices and their lines in the gate's canonical frames."""

    invoices: pl.DataFrame = field(default_factory=INVOICES.empty)
    lines: pl.DataFrame = field(default_factory=INVOICE_LINES.empty)


@dataclass(frozen=True, slots=True)
class Agreements:
    """What was agreed, for the whole pipeline only; the gate alone has none.

    ``expected_drafts`` and ``expected_lines`` are priced from the CRM contract's terms by the same
    formulas as the drafts; their ``subscription_id`` is the contract's id.
    """

    drafts: pl.DataFrame
    draft_lines: pl.DataFrame
    expected_drafts: pl.DataFrame
    expected_lines: pl.DataFrame
    entitlements: pl.DataFrame
    contracts: pl.DataFrame
    subscriptions: pl.DataFrame
    _made: dict[str, pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def once(self, name: str, make: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """Make a frame of these for the first detector that asks; the others get the same."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


@dataclass(frozen=True, slots=True)
class ScoringInputs:
    """Drafts to judge and everything known beside them; what is missing is an empty frame.

    ``as_of_on``: the day before which models and tails learn, where that is not the first draft's.
    ``remembered``: rows of :func:`payment_profile.remembered`, made before; payment figures then
    read them instead of ``payments`` and ``credit_notes``. ``owed``: what was open when those were
    made (:func:`exposure.owed`), read instead of the history with them. ``terms``: what contracts
    say (:mod:`announced`). ``snoozes``: ``customer_id, rule_id`` of rules that are snoozed now.
    """

    history: Books
    drafts: Books
    customers: pl.DataFrame = field(default_factory=CUSTOMERS.empty)
    payments: pl.DataFrame = field(default_factory=PAYMENTS.empty)
    credit_notes: pl.DataFrame = field(default_factory=CREDIT_NOTES.empty)
    disputes: pl.DataFrame = field(default_factory=DISPUTES.empty)
    usage_days: pl.DataFrame = field(default_factory=USAGE_DAYS.empty)
    agreements: Agreements | None = None
    terms: pl.DataFrame = field(default_factory=TERMS.empty)
    snoozes: pl.DataFrame = field(default_factory=SNOOZES.clone)
    as_of_on: date | None = None
    remembered: pl.DataFrame | None = None
    owed: pl.DataFrame | None = None

    @property
    def cut_off(self) -> date | None:
        """Models and tails learn from rows before it: the earliest draft's day unless stated."""
        if self.as_of_on is not None:
            return self.as_of_on
        first: date | None = self.drafts.invoices["issued_on"].min()  # type: ignore[assignment]
        return first


def settle(inputs: ScoringInputs) -> ScoringInputs:
    """Apply the as-of rule that needs no key: the draft's row wins, later rows are not there.

    Parameters
    ----------
    inputs : ScoringInputs
        As handed in: an id may stand in history and drafts, history may go on after the drafts.

    Returns
    -------
    ScoringInputs
        History without drafts and without invoices of the last draft's day or later; no payment,
        credit or dispute of a draft; usage up to the last draft's day. Conformed and sorted.
    """
    drafts = INVOICES.conform(inputs.drafts.invoices).sort("issued_on", "invoice_id")
    last_on: date | None = drafts["issued_on"].max()  # type: ignore[assignment]
    ids = drafts.select("invoice_id")
    history = INVOICES.conform(inputs.history.invoices).join(ids, on="invoice_id", how="anti")
    payments = PAYMENTS.conform(inputs.payments)
    credited = CREDIT_NOTES.conform(inputs.credit_notes)
    disputed = DISPUTES.conform(inputs.disputes)
    usage = USAGE_DAYS.conform(inputs.usage_days)
    if last_on is not None:
        history = history.filter(pl.col("issued_on") < last_on)
        payments = payments.filter(pl.col("paid_on") < last_on)
        credited = credited.filter(pl.col("issued_on") < last_on)
        disputed = disputed.filter(pl.col("opened_on") < last_on)
        usage = usage.filter(pl.col("used_on") <= last_on)
    lines = INVOICE_LINES.conform(inputs.history.lines).join(
        history.select("invoice_id"), on="invoice_id", how="semi"
    )
    own_lines = INVOICE_LINES.conform(inputs.drafts.lines).join(ids, on="invoice_id", how="semi")
    return ScoringInputs(
        history=Books(history.sort("issued_on", "invoice_id"), lines.sort("invoice_id", "line_id")),
        drafts=Books(drafts, own_lines.sort("invoice_id", "line_id")),
        customers=CUSTOMERS.conform(inputs.customers),
        payments=payments.join(ids, on="invoice_id", how="anti"),
        credit_notes=credited.join(ids, on="invoice_id", how="anti"),
        disputes=disputed.join(ids, on="invoice_id", how="anti"),
        usage_days=usage,
        agreements=inputs.agreements,
        terms=inputs.terms,
        snoozes=inputs.snoozes,
        as_of_on=inputs.as_of_on,
        remembered=inputs.remembered,
        owed=inputs.owed,
    )


def visible(inputs: ScoringInputs) -> Books:
    """Every invoice that some draft may look back on, drafts included.

    Parameters
    ----------
    inputs : ScoringInputs
        Settled.

    Returns
    -------
    Books
        Invoices of the last ``LOOK_BACK_DAYS`` before the first draft, and the drafts, with
        ``is_draft`` and ``series`` (customer and currency: amounts compare only within it).
    """
    history = inputs.history.invoices
    last_on: date | None = history["issued_on"].max()  # type: ignore[assignment]
    cut_off = inputs.cut_off or last_on
    if cut_off is not None:
        history = history.filter(pl.col("issued_on") >= cut_off - LOOK_BACK_DAYS * DAY)
    invoices = pl.concat(
        [
            in_series(history, is_draft=False),
            in_series(inputs.drafts.invoices, is_draft=True),
        ]
    )
    lines = pl.concat([inputs.history.lines, inputs.drafts.lines]).join(
        invoices.select("invoice_id"), on="invoice_id", how="semi"
    )
    return Books(invoices, lines)


def in_series(invoices: pl.DataFrame, *, is_draft: bool) -> pl.DataFrame:
    """Add ``is_draft`` and ``series``."""
    return invoices.with_columns(
        is_draft=pl.lit(value=is_draft),
        series=pl.concat_str("customer_id", "currency", separator="|"),
    )


def reference_customers(invoices: pl.DataFrame) -> pl.DataFrame:
    """Customers with about ``REFERENCE_ROWS`` invoices, chosen by the hash of their id.

    Neighbours, or every tenth, may all be of one kind: numbers are often given by segment.

    Returns
    -------
    pl.DataFrame
        ``customer_id``, sorted: the same ones for the same company.
    """
    share = min(1.0, REFERENCE_ROWS / max(invoices.height, 1))
    customers = invoices.select("customer_id").unique().sort("customer_id")
    place = pl.col("customer_id").hash(_SEED) % _SLICES
    return customers.filter(place < int(share * _SLICES))


def judged_rows(books: Books, inputs: ScoringInputs) -> pl.DataFrame:
    """The drafts, and the history rows on which tails are calibrated (all days, without drafts).

    Returns
    -------
    pl.DataFrame, one row per invoice
        Columns of ``books.invoices``. History rows are the latest ``REFERENCE_ROWS`` before the
        first draft, without those that a credit note had corrected by then and, where enough
        remain, without the first weeks, in which every product and customer is new.
    """
    drafts, past = books.invoices.filter("is_draft"), books.invoices.filter(~pl.col("is_draft"))
    credited = inputs.credit_notes
    if inputs.cut_off is not None:
        past = past.filter(pl.col("issued_on") < inputs.cut_off)
        credited = credited.filter(pl.col("issued_on") < inputs.cut_off)
    reference = (
        past.join(credited, on="invoice_id", how="anti")
        .sort("issued_on", "invoice_id")
        .tail(REFERENCE_ROWS)
    )
    first_on: date | None = books.invoices["issued_on"].min()  # type: ignore[assignment]
    if first_on is not None:
        warm = reference.filter(pl.col("issued_on") >= first_on + WARM_UP_DAYS * DAY)
        reference = warm if warm.height >= WARM_ROWS else reference
    return pl.concat([reference, drafts]).sort("issued_on", "invoice_id")
