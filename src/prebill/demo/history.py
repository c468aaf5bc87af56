"""The invoices of past months: billed by the engine, numbered, a few of them wrong and credited."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from prebill.core.money import DECIMAL, round_minor
from prebill.core.schemas.inbound import CREDIT_NOTES, DISPUTES, INVOICE_LINES, INVOICES
from prebill.demo.catalogue import EXPORTED_ON, GRACE_DAYS
from prebill.demo.randomness import stream

_WRONG_SHARE = 0.01
_GOODWILL_SHARE = 0.003


@dataclass(frozen=True, slots=True)
class History:
    """Canonical frames; ``credited`` is what each invoice was reduced by, for the payments."""

    invoices: pl.DataFrame
    lines: pl.DataFrame
    credit_notes: pl.DataFrame
    disputes: pl.DataFrame


def issue(drafts: pl.DataFrame, lines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number the drafts of all past months and give them the shape of issued invoices."""
    year = pl.col("period_end_on").dt.year()
    numbered = (
        drafts.sort("entity_id", "period", "draft_id")
        .with_columns(
            ordinal=pl.col("draft_id").cum_count().over("entity_id", year),
            issued_on=pl.col("period_end_on").dt.offset_by(f"{GRACE_DAYS}d"),
        )
        .with_columns(
            invoice_id=pl.format(
                "{}-{}-{}", "entity_id", year, pl.col("ordinal").cast(pl.String).str.zfill(6)
            ),
            due_on=pl.col("issued_on") + pl.duration(days="payment_terms_days"),
            payment_terms=pl.format("net {}", "payment_terms_days"),
            legal_entity="entity_id",
        )
    )
    issued_lines = lines.join(
        numbered.select("draft_id", "invoice_id"), on="draft_id", maintain_order="left"
    ).with_columns(product="charge_id")
    return (
        INVOICES.conform(numbered.select(INVOICES.names)),
        INVOICE_LINES.conform(issued_lines.select(INVOICE_LINES.names)),
    )


def make_history(seed: int, invoices: pl.DataFrame, lines: pl.DataFrame) -> History:
    """Turn one in a hundred past invoices wrong, credit it later, and add some goodwill."""
    rng = stream(seed, "history")
    wrong = _wrong_lines(rng, invoices, lines)
    key = ["invoice_id", "line_id"]
    percent = pl.col("percent").cast(DECIMAL)
    whole = pl.lit(100).cast(DECIMAL)
    changed = lines.join(wrong, on=key, how="left", maintain_order="left").with_columns(
        quantity=pl.when(pl.col("percent").is_null())
        .then("quantity")
        .otherwise((pl.col("quantity") * percent / whole).cast(DECIMAL)),
        billed_minor=_scaled("amount_minor", percent, whole),
        billed_tax_minor=_scaled("tax_minor", percent, whole),
    )
    added = (
        changed.filter(pl.col("percent").is_not_null())
        .group_by("invoice_id", maintain_order=True)
        .agg(
            added_minor=(pl.col("billed_minor") - pl.col("amount_minor")).sum(),
            added_tax_minor=(pl.col("billed_tax_minor") - pl.col("tax_minor")).sum(),
        )
    )
    billed = invoices.join(added, on="invoice_id", how="left", maintain_order="left").with_columns(
        pl.col("added_minor", "added_tax_minor").fill_null(0)
    )
    billed = billed.with_columns(
        subtotal_minor=pl.col("subtotal_minor") + pl.col("added_minor"),
        tax_minor=pl.col("tax_minor") + pl.col("added_tax_minor"),
        total_minor=pl.col("total_minor") + pl.col("added_minor") + pl.col("added_tax_minor"),
        wrong_minor=pl.col("added_minor") + pl.col("added_tax_minor"),
    )
    final_lines = changed.with_columns(amount_minor="billed_minor", tax_minor="billed_tax_minor")
    return History(
        invoices=INVOICES.conform(billed.select(INVOICES.names)),
        lines=INVOICE_LINES.conform(final_lines.select(INVOICE_LINES.names)),
        credit_notes=_credit_notes(rng, billed),
        disputes=_disputes(rng, billed),
    )


def _scaled(column: str, percent: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Scale an amount by the line's percent where there is one, rounded to minor units."""
    scaled = round_minor(pl.col(column).cast(DECIMAL) * percent / whole)
    return pl.when(pl.col("percent").is_null()).then(column).otherwise(scaled)


def _wrong_lines(
    rng: np.random.Generator, invoices: pl.DataFrame, lines: pl.DataFrame
) -> pl.DataFrame:
    """Choose one usage line of some invoices and the percent of the right amount it is billed."""
    is_wrong = pl.Series(rng.random(invoices.height) < _WRONG_SHARE)
    percent = pl.Series(rng.integers(115, 400, invoices.height))
    chosen = invoices.select("invoice_id", percent=percent).filter(is_wrong)
    usage = lines.filter(
        ~pl.col("product").is_in(["platform", "seats", "onboarding"]) & (pl.col("amount_minor") > 0)
    )
    first = usage.unique("invoice_id", keep="first", maintain_order=True)
    return first.join(chosen, on="invoice_id", maintain_order="left").select(
        "invoice_id", "line_id", "percent"
    )


def _credit_notes(rng: np.random.Generator, billed: pl.DataFrame) -> pl.DataFrame:
    """Credit what was wrong 8 to 60 days later, and a twentieth of some right invoices."""
    days = pl.Series(rng.integers(8, 61, billed.height))
    is_goodwill = pl.Series(rng.random(billed.height) < _GOODWILL_SHARE)
    rows = billed.select(
        "invoice_id",
        issued_on=pl.col("issued_on") + pl.duration(days=pl.lit(days)),
        amount_minor=pl.when(pl.col("wrong_minor") > 0)
        .then("wrong_minor")
        .when(is_goodwill)
        .then(pl.col("total_minor") // 20)
        .otherwise(0),
        reason=pl.when(pl.col("wrong_minor") > 0)
        .then(pl.lit("amount"))
        .otherwise(pl.lit("goodwill")),
    ).filter((pl.col("amount_minor") > 0) & (pl.col("issued_on") <= EXPORTED_ON))
    return CREDIT_NOTES.conform(rows.with_columns(credit_note_id=pl.format("CN-{}", "invoice_id")))


def _disputes(rng: np.random.Generator, billed: pl.DataFrame) -> pl.DataFrame:
    """Half of the wrong invoices are contested within two weeks, and a few right ones."""
    draw = pl.Series(rng.random(billed.height))
    opened = pl.Series(rng.integers(3, 15, billed.height))
    open_for = pl.Series(rng.integers(5, 50, billed.height))
    is_contested = pl.when(pl.col("wrong_minor") > 0).then(draw < 0.5).otherwise(draw < 0.002)
    rows = billed.with_columns(opened_on=pl.col("issued_on") + pl.duration(days=pl.lit(opened)))
    closed = pl.col("opened_on") + pl.duration(days=pl.lit(open_for))
    rows = rows.with_columns(
        closed_on=pl.when(closed <= EXPORTED_ON).then(closed),
        amount_minor=pl.when(pl.col("wrong_minor") > 0)
        .then("wrong_minor")
        .otherwise("total_minor"),
        reason=pl.lit("amount"),
        dispute_id=pl.format("DP-{}", "invoice_id"),
    ).filter(is_contested & (pl.col("opened_on") <= EXPORTED_ON))
    return DISPUTES.conform(rows.select(DISPUTES.names))
