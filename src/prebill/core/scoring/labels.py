"""What tells whether a draft was right: sources of labels, their maturity, their weight. Pure.

A label of people comes from `workflows/resolve.py`; here are those that arrive by themselves.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.core.schemas.internal import LABELS

#: A credit note within this many days says that the invoice was wrong, unless it was goodwill.
CREDIT_DAYS: Final = 90
GOODWILL: Final = "goodwill"
VERDICT: Final = "verdict"
#: Also kind and queue of the cases by which a released draft is looked at all the same.
SAMPLE: Final = "sample"


@dataclass(frozen=True, slots=True)
class Source:
    """Days after issue until a source has said what it will say, and how far it is believed.

    ``weight`` is that of a training row, 0 to 1: judgement, not measured.
    """

    maturity_days: int
    weight: float


#: The strongest first: what was corrected in money, what a person said, what a customer did.
#: A paid invoice was probably right; by then a correction would have come.
SOURCES: Final = {
    "credit_note": Source(CREDIT_DAYS, 1.0),
    VERDICT: Source(0, 1.0),
    SAMPLE: Source(0, 1.0),
    "dispute": Source(60, 0.5),
    "payment": Source(CREDIT_DAYS, 0.3),
}


def is_correction(reason: pl.Expr) -> pl.Expr:
    """Whether a credit note corrects amount, tax or party; everything but goodwill does."""
    return reason.fill_null("") != GOODWILL


@dataclass(frozen=True, slots=True)
class Arrived:
    """Everything known of some issued invoices: ``CREDIT_NOTES, DISPUTES, PAYMENTS``."""

    credit_notes: pl.DataFrame
    disputes: pl.DataFrame
    payments: pl.DataFrame


def outcome_labels(issued: pl.DataFrame, arrived: Arrived) -> pl.DataFrame:
    """Say what arrived facts mean for the invoices that they are about.

    A credit note within 90 days is an error, unless it was goodwill; goodwill says nothing. A
    dispute is an error as long as it is open; one that was closed without a correction is none.
    An invoice that was paid in full was right. Each source has at most one label a draft.

    Parameters
    ----------
    issued : pl.DataFrame, one row per issued invoice
        ``invoice_id, draft_id, draft_version, issued_on, total_minor``.
    arrived : Arrived
        All facts about these invoices; facts about others are left alone.

    Returns
    -------
    pl.DataFrame
        ``LABELS`` without ``entered_by, entered_at``, sorted by label.
    """
    credited = _credited(issued, arrived.credit_notes)
    found = [credited, _disputed(issued, arrived.disputes, credited), _paid(issued, arrived)]
    named = pl.concat(found).join(issued, on="invoice_id")
    rule = {name: source.maturity_days for name, source in SOURCES.items()}
    days = pl.col("source").replace_strict(rule, return_dtype=pl.Int64)
    matured = pl.col("issued_on") + pl.duration(days=days)
    return (
        named.with_columns(
            label_id=pl.format("{}:{}:{}", "source", "draft_id", "draft_version"),
            matures_on=pl.max_horizontal(matured, "found_on"),
            was_shown=pl.lit(value=False),
            propensity=pl.lit(None, dtype=pl.Float64),
        )
        .select(name for name in LABELS.names if name not in ("entered_by", "entered_at"))
        .sort("label_id")
    )


def _credited(issued: pl.DataFrame, credit_notes: pl.DataFrame) -> pl.DataFrame:
    dates = issued.select("invoice_id", invoiced_on="issued_on")
    in_time = pl.col("issued_on") < pl.col("invoiced_on") + timedelta(days=CREDIT_DAYS)
    first = (
        credit_notes.join(dates, on="invoice_id")
        .filter(is_correction(pl.col("reason")), in_time)
        .sort("issued_on", "credit_note_id")
        .unique("invoice_id", keep="first")
    )
    given = pl.col("reason")
    reason = (
        pl.when(given.is_in(["amount", "tax", "party"])).then(given).otherwise(pl.lit("credited"))
    )
    return _told(first, "credit_note", reason, pl.col("issued_on"), is_error=pl.lit(value=True))


def _disputed(issued: pl.DataFrame, disputes: pl.DataFrame, credited: pl.DataFrame) -> pl.DataFrame:
    """An invoice with several disputes: one that is open counts before those that are closed."""
    last = (
        disputes.join(issued.select("invoice_id"), on="invoice_id", how="semi")
        .sort(pl.col("closed_on").is_null(), "opened_on", "dispute_id")
        .unique("invoice_id", keep="last")
        .join(credited.select("invoice_id", corrected=True), on="invoice_id", how="left")
    )
    is_error = pl.col("closed_on").is_null() | pl.col("corrected").fill_null(value=False)
    reason = pl.when(is_error).then(pl.lit("contested")).otherwise(pl.lit("closed_uncorrected"))
    found_on = pl.coalesce("closed_on", "opened_on")
    return _told(last, "dispute", reason, found_on, is_error=is_error)


def _paid(issued: pl.DataFrame, arrived: Arrived) -> pl.DataFrame:
    paid = arrived.payments.group_by("invoice_id").agg(
        paid_minor=pl.col("amount_minor").sum(), paid_on=pl.col("paid_on").max()
    )
    full = issued.filter(pl.col("total_minor") > 0).join(paid, on="invoice_id")
    full = full.filter(pl.col("paid_minor") >= pl.col("total_minor"))
    reason = pl.lit("paid_in_full")
    return _told(full, "payment", reason, pl.col("paid_on"), is_error=pl.lit(value=False))


def _told(
    facts: pl.DataFrame, source: str, reason: pl.Expr, found_on: pl.Expr, *, is_error: pl.Expr
) -> pl.DataFrame:
    return facts.select(
        "invoice_id",
        source=pl.lit(source),
        reason_code=reason,
        found_on=found_on,
        is_error=is_error,
    )


def strongest(labels: pl.DataFrame, mature_on: date) -> pl.DataFrame:
    """Choose one mature label of each draft version: that of the strongest source.

    Parameters
    ----------
    labels : pl.DataFrame
        ``LABELS``.
    mature_on : date
        Labels that mature later are not known yet.

    Returns
    -------
    pl.DataFrame, one row per (draft_id, draft_version), sorted by both
        ``draft_id, draft_version, is_error, source, weight, propensity, was_shown, matures_on``.
        ``weight`` is the source's. ``propensity`` is null unless somebody looked at the draft for
        the random sample, whichever source then is the strongest.
    """
    order = {name: place for place, name in enumerate(SOURCES)}
    weights = {name: source.weight for name, source in SOURCES.items()}
    keys = ["draft_id", "draft_version"]
    return (
        labels.filter(pl.col("matures_on") <= mature_on)
        .with_columns(
            place=pl.col("source").replace_strict(order, return_dtype=pl.Int64),
            weight=pl.col("source").replace_strict(weights, return_dtype=pl.Float64),
            propensity=pl.col("propensity").max().over(keys),
        )
        .sort(*keys, "place")
        .unique(keys, keep="first", maintain_order=True)
        .select(*keys, "is_error", "source", "weight", "propensity", "was_shown", "matures_on")
    )
