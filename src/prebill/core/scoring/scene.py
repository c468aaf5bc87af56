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
from prebill.core.scoring.frames import Agreements, ScoringInputs, judged_rows, settle, visible
from prebill.core.scoring.models.forest import Forest

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
    if settled.agreements is not None:
        lines = _as_agreed(lines, settled.agreements)
    constants = invariants.features(lines)
    parts = (
        _variance(rows, variance.measures(books, quantity.line_shifts(facts))),
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
    agreed = conforming(agreements).with_columns(is_agreed=pl.lit(value=True))
    joined = lines.join(agreed, on=["invoice_id", "product"], how="left", maintain_order="left")
    is_agreed = pl.col("is_agreed").fill_null(value=False)
    return joined.with_columns(
        pl.when(is_agreed).then(pl.col(name) * 0).otherwise(pl.col(name)).alias(name)
        for name in ("off_unseen", "off_own", "off_discount")
    ).drop("is_agreed")
