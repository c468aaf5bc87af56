"""Corrections that people entered, applied at their source so that every later run has them.

A phase amendment is a new recorded version of the phase and a tax status is the customer's own
row: both need nothing here. A metered quantity and a one-off line belong to one draft.
"""

import hashlib
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import polars as pl

from prebill.core.billing.inputs import BillingInputs
from prebill.core.billing.invoicing import Billed, windows
from prebill.core.billing.tax import tax_minor
from prebill.core.billing.usage_days import repeated
from prebill.core.calendar import Period
from prebill.core.money import DECIMAL, minor_factor
from prebill.core.schemas.internal import DRAFT_LINES

ONE_OFF: Final = "one_off"

_QUANTITIES: Final = pl.Schema(
    {"subscription_id": pl.String(), "charge_id": pl.String(), "corrected": DECIMAL}
)
_LINES: Final = pl.Schema(
    {"draft_id": pl.String(), "text": pl.String(), "one_off_minor": pl.Int64()}
)


@dataclass(frozen=True, slots=True)
class Corrections:
    """Corrected quantities by (subscription, charge); one-off lines by draft."""

    quantities: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_QUANTITIES))
    one_off_lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_LINES))


def corrections_of(entered: list[tuple[str, str]]) -> Corrections:
    """Read stored corrections: pairs of draft id and JSON, oldest first; the last one wins."""
    quantities: dict[tuple[str, str], Decimal] = {}
    lines: list[tuple[str, str, int]] = []
    for draft_id, text in entered:
        one = json.loads(text)
        if one["kind"] == "usage_quantity":
            key = (draft_id.split(":", 2)[2], one["charge_id"])
            quantities[key] = Decimal(one["quantity"])
        if one["kind"] == "one_off_line":
            lines.append((draft_id, one["text"], int(one["amount_minor"])))
    rows = [(*key, value) for key, value in quantities.items()]
    return Corrections(
        pl.DataFrame(rows, schema=_QUANTITIES, orient="row"),
        pl.DataFrame(lines, schema=_LINES, orient="row"),
    )


def with_quantities(quantities: pl.DataFrame, corrections: Corrections) -> pl.DataFrame:
    """Replace metered quantities by corrected ones."""
    if corrections.quantities.is_empty():
        return quantities
    key = ["subscription_id", "charge_id"]
    joined = quantities.join(corrections.quantities, on=key, how="left", maintain_order="left")
    return joined.with_columns(quantity=pl.coalesce("corrected", "quantity")).drop("corrected")


def without_repeats(
    events: pl.DataFrame, billing: BillingInputs, period: Period, corrections: Corrections
) -> pl.DataFrame:
    """Where a person corrected a quantity, events that repeat another one count once.

    The corrected quantity is then compared with what is left: one that says just that is right,
    any other is still a difference that somebody else has to look at.

    Parameters
    ----------
    events : pl.DataFrame
        Each id once.
    billing, period
        Say whose events a corrected charge meters.
    corrections : Corrections
        What people said.
    """
    if corrections.quantities.is_empty():
        return events
    key = ["subscription_id", "charge_id"]
    told = windows(billing, period).join(corrections.quantities, on=key, how="semi")
    own = events.join(told, on=["customer_id", "meter"], how="semi")
    again = repeated(own).select("source", "id")
    return events.join(again, on=["source", "id"], how="anti", maintain_order="left")


def with_one_off_lines(billed: Billed, corrections: Corrections) -> Billed:
    """Add the one-off lines to their drafts, taxed like the draft's first line."""
    wanted = corrections.one_off_lines.join(billed.drafts, on="draft_id", how="inner")
    if wanted.is_empty():
        return billed
    first = billed.lines.sort("draft_id", pl.col("line_id").cast(pl.Int64)).unique(
        "draft_id", keep="first", maintain_order=True
    )
    heads = wanted.select(
        "draft_id",
        "text",
        "one_off_minor",
        "currency",
        position=pl.col("lines") + pl.int_range(1, pl.len() + 1).over("draft_id"),
    )
    added = DRAFT_LINES.conform(_one_off(heads.join(first, on="draft_id")))
    lines = pl.concat([billed.lines, added])
    return Billed(
        drafts=_totalled(billed.drafts, added),
        lines=lines,
        skips=billed.skips,
        findings=billed.findings,
    )


def _one_off(rows: pl.DataFrame) -> pl.DataFrame:
    zero = pl.lit(0, dtype=pl.Int64)
    one = pl.lit(1, dtype=pl.Int64)
    amount = pl.col("one_off_minor")
    return rows.with_columns(
        line_id=pl.col("position").cast(pl.String),
        charge_id=pl.lit(ONE_OFF),
        name=pl.col("text"),
        charge_model=pl.lit("flat"),
        timing=pl.lit("in_arrears"),
        meter=pl.lit(None, dtype=pl.String),
        share_numerator=one,
        share_denominator=one,
        proration_rule=pl.lit(None, dtype=pl.String),
        quantity=one.cast(DECIMAL),
        unit_price=pl.lit(None, dtype=DECIMAL),
        amount_unrounded=amount.cast(DECIMAL) / minor_factor(pl.col("currency")),
        gross_minor=amount,
        discount_percent=zero.cast(DECIMAL),
        discount_minor=zero,
        amount_minor=amount,
        tax_minor=tax_minor(amount, pl.col("tax_percent")),
    )


#: What the one-off lines of a draft say, as its version covers it.
SAID: Final = pl.concat_str("line_id", "name", "amount_minor", separator="|").sort().str.join("\n")


def version_with(version: str, said: str) -> str:
    """The version of a draft with one-off lines: of the draft as priced, and what they say."""
    return hashlib.sha256(f"{version}\n{said}".encode()).hexdigest()


def _totalled(drafts: pl.DataFrame, added: pl.DataFrame) -> pl.DataFrame:
    """Add the lines to the totals; the version covers them too."""
    sums = added.group_by("draft_id").agg(
        more=pl.col("amount_minor").sum(),
        more_tax=pl.col("tax_minor").sum(),
        count=pl.len().cast(pl.Int64),
        said=SAID,
    )
    joined = drafts.join(sums, on="draft_id", how="left", maintain_order="left")
    pairs = joined.filter(pl.col("said").is_not_null()).select("draft_id", "version", "said")
    versions = {
        draft_id: version_with(version, said)
        for draft_id, version, said in pairs.iter_rows()  # only the few that a person corrected
    }
    zero = pl.lit(0, dtype=pl.Int64)
    subtotal = pl.col("subtotal_minor") + pl.coalesce("more", zero)
    tax = pl.col("tax_minor") + pl.coalesce("more_tax", zero)
    return joined.with_columns(
        version=pl.coalesce(
            pl.col("draft_id").replace_strict(versions, default=None, return_dtype=pl.String()),
            "version",
        ),
        subtotal_minor=subtotal,
        tax_minor=tax,
        total_minor=subtotal + tax,
        lines=pl.col("lines") + pl.coalesce("count", zero),
    ).select(drafts.columns)
