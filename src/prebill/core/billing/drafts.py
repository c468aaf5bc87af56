"""Drafts: lines put in the order of the document, numbered, totalled and given a version.

The version is the SHA-256 of what the draft says, in a fixed textual form: equal inputs give the
equal version on every machine and with every release of the libraries.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.calendar import Period
from prebill.core.schemas.internal import DRAFT_LINES, SKIPS

#: Columns of a draft, besides its lines, that its version covers.
_HEAD: Final = (
    "draft_id",
    "payer_id",
    "contract_id",
    "currency",
    "tax_point_on",
    "payment_terms_days",
)


@dataclass(frozen=True, slots=True)
class OneCurrency:
    """Lines in the currency of their draft, and lines in another one."""

    lines: pl.DataFrame
    others: pl.DataFrame


def one_currency_a_draft(lines: pl.DataFrame) -> OneCurrency:
    """Keep the currency of each subscription's earliest line; two never meet in one sum."""
    first = (
        lines.select("subscription_id", "service_start_on", "currency")
        .unique()
        .sort("subscription_id", "service_start_on", "currency")
        .unique("subscription_id", keep="first", maintain_order=True)
        .select("subscription_id", draft_currency="currency")
    )
    if lines.select("subscription_id", "currency").n_unique() == first.height:
        return OneCurrency(lines, lines.clear())
    marked = lines.join(first, on="subscription_id", how="left")
    is_own = pl.col("currency") == pl.col("draft_currency")
    return OneCurrency(
        marked.filter(is_own).drop("draft_currency"), marked.filter(~is_own).drop("draft_currency")
    )


def skipped(rows: pl.DataFrame, reason: str, period: Period) -> pl.DataFrame:
    """Turn lines that can't be on a draft into skips."""
    named = rows.with_columns(reason=pl.lit(reason), period=pl.lit(period.name))
    return SKIPS.conform(named).unique(list(SKIPS.key))


def numbered(lines: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Give lines their draft and their number, by charge, then by first service day."""
    identity = lines.select("entity_id", "subscription_id").unique()
    draft_id = pl.format("{}:{}:{}", "entity_id", pl.lit(period.name), "subscription_id")
    ranked = (
        identity.with_columns(draft_id=draft_id)
        .sort("draft_id")
        .with_row_index("draft")
        .select("subscription_id", "draft_id", "draft")
    )
    # charge_key numbers the charges in the order of charge_id, so the sort compares integers.
    ordered = lines.join(ranked, on="subscription_id", how="left").sort(
        "draft", "charge_key", "service_start_on", "phase_id"
    )
    place = pl.int_range(pl.len(), dtype=pl.Int64)
    positions = ordered.with_columns(place=place)
    number = pl.col("place") - pl.col("place").first().over("draft") + 1
    return positions.with_columns(line=number).with_columns(
        line_id=pl.col("line").cast(pl.String), name=pl.col("charge_name")
    )


def drafts(lines: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Sum up numbered lines to drafts, with their version."""
    sums = lines.group_by("draft", maintain_order=True).agg(
        *(
            pl.col(name).first()
            for name in ("draft_id", "entity_id", "payer_id", "contract_id", "subscription_id")
        ),
        *(pl.col(name).first() for name in ("currency", "tax_point_on", "payment_terms_days")),
        subtotal_minor=pl.col("amount_minor").sum(),
        tax_minor=pl.col("tax_minor").sum(),
        lines=pl.len().cast(pl.Int64),
        line_text=_line_text().str.join("\n"),
    )
    texts = sums.select(
        text=pl.concat_str([*_HEAD, "line_text"], separator="|", ignore_nulls=False)
    )["text"]
    # SHA-256 exists outside of polars only: 100,000 texts take a tenth of a second.
    versions = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return sums.with_columns(
        pl.Series("version", versions, dtype=pl.String),
        customer_id="payer_id",
        period=pl.lit(period.name),
        period_start_on=pl.lit(period.start_on),
        period_end_on=pl.lit(period.end_on),
        total_minor=pl.col("subtotal_minor") + pl.col("tax_minor"),
    )


def _line_text() -> pl.Expr:
    """Write every column of a line, null as an empty text."""
    columns = [
        pl.col(name).cast(pl.String).fill_null("")
        for name in DRAFT_LINES.names
        if name != "draft_id"
    ]
    return pl.concat_str(columns, separator="|")
