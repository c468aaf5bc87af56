"""From inputs to the scene that detectors see: every feature family, once, for all rows."""

from dataclasses import replace
from typing import Final

import polars as pl

from prebill.core.scoring.agreed import conforming
from prebill.core.scoring.detectors.base import Scene
from prebill.core.scoring.features import (
    invariants,
    line_mix,
    quantity,
    treatment,
    usage_shape,
    variance,
)
from prebill.core.scoring.frames import (
    Agreements,
    Books,
    ScoringInputs,
    judged_rows,
    settle,
    visible,
)
from prebill.core.scoring.models.forest import Forest
from prebill.core.scoring.words import estimated_minor

#: Invoice features by name → meaning: what a feature row stores.
FEATURES: Final[dict[str, str]] = {
    "known": "earlier invoices of the series that the comparison rests on, at most 8",
    **variance.FEATURES,
    **invariants.FEATURES,
    **treatment.FEATURES,
    **line_mix.FEATURES,
    **{f"usage_{name}": meaning for name, meaning in usage_shape.FEATURES.items()},
}


def scene_of(inputs: ScoringInputs, forest: Forest | None = None) -> Scene:
    """Compute all features as of each row's own issue date.

    Parameters
    ----------
    inputs : ScoringInputs
        As handed in; the as-of rule is applied here.
    forest : Forest or None
        The level model; it can be set later with :func:`with_forest`.
    """
    settled = settle(inputs)
    books = visible(settled)
    rows = judged_rows(books, settled)
    facts = invariants.line_facts(books)
    own = facts.join(rows.select("invoice_id"), on="invoice_id", how="semi")
    lines = invariants.profile(facts, own)
    lines = invariants.line_features(lines, lines.filter(~pl.col("is_draft")))
    measured = books
    if settled.agreements is None:
        rows = rows.with_columns(agreed_change_minor=pl.lit(None, dtype=pl.Float64))
    else:
        lines = _as_agreed(lines, settled.agreements)
        measured, changes = _less_agreed(books, lines)
        rows = rows.join(changes, on="invoice_id", how="left", maintain_order="left")
    constants = invariants.features(lines)
    parts = (
        _variance(rows, variance.measures(measured, quantity.line_shifts(facts))),
        constants,
        treatment.features(rows, constants, books, settled.customers),
        line_mix.features(books, line_mix.profile(books, rows)),
    )
    for part in parts:
        rows = rows.join(part, on="invoice_id", how="left", maintain_order="left")
    shapes = usage_shape.profile(settled.usage_days, books.invoices)
    usage = usage_shape.features(rows, shapes)
    rows = rows.join(_largest(usage), on="invoice_id", how="left", maintain_order="left")
    return Scene(settled, books, rows, lines, usage, forest)


def with_forest(scene: Scene, forest: Forest | None) -> Scene:
    """The same scene, judged by another forest."""
    return replace(scene, forest=forest)


def _variance(rows: pl.DataFrame, measures: pl.DataFrame) -> pl.DataFrame:
    own = rows.select("invoice_id").join(measures, on="invoice_id", maintain_order="left")
    keys = own.select("series", as_of_on="issued_on")
    return variance.features(own, variance.profile(measures, keys))


def _largest(usage: pl.DataFrame) -> pl.DataFrame:
    """The most unusual meter of each invoice, feature by feature."""
    return usage.group_by("invoice_id").agg(
        pl.col(name).max().alias(f"usage_{name}") for name in usage_shape.FEATURES
    )


def _as_agreed(lines: pl.DataFrame, agreements: Agreements) -> pl.DataFrame:
    """A rate or discount that changed as the contract says is no deviation."""
    agreed = conforming(agreements)
    joined = lines.join(agreed, on=["invoice_id", "product"], how="left", maintain_order="left")
    is_agreed = pl.col("is_metered").is_not_null()
    return joined.with_columns(
        pl.when(is_agreed).then(pl.col(name) * 0).otherwise(pl.col(name)).alias(name)
        for name in ("off_unseen", "off_own", "off_discount")
    )


def _less_agreed(books: Books, lines: pl.DataFrame) -> tuple[Books, pl.DataFrame]:
    """Take off what the contract changed in fixed charges since the last invoice.

    An upgrade or a one-off purchase that the contract has is no deviation of the level; what is
    left of the draft is compared with the customer's past.

    Returns
    -------
    Books, pl.DataFrame
        The books as the level sees them; ``invoice_id, agreed_change_minor`` (before tax).
    """
    fixed = lines.filter(pl.col("is_draft"), ~pl.col("is_metered"))
    by_product = fixed.group_by("invoice_id", "product").agg(
        now=pl.col("amount").sum(), before=pl.col("own_amount").first()
    )
    has_past = pl.col("before").is_not_null().any().over("invoice_id")
    by_product = by_product.filter(has_past)
    changes = by_product.group_by("invoice_id").agg(
        agreed_change_minor=(pl.col("now") - pl.col("before").fill_null(0.0)).sum()
    )
    fresh = by_product.filter(pl.col("before").is_null()).select("invoice_id", "product")
    share = pl.coalesce(pl.col("total_minor") / pl.col("subtotal_minor"), pl.lit(1.0))
    less = estimated_minor(pl.col("agreed_change_minor").fill_null(0.0) * share)
    invoices = (
        books.invoices.join(changes, on="invoice_id", how="left", maintain_order="left")
        .with_columns(total_minor=pl.col("total_minor") - less)
        .drop("agreed_change_minor")
    )
    kept = books.lines.join(fresh, on=["invoice_id", "product"], how="anti")
    return Books(invoices, kept), changes
