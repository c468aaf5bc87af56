"""From inputs to the scene that detectors see: every feature family, once, for all rows."""

from dataclasses import replace
from typing import Final

import polars as pl

from prebill.core.schemas.frame import collected
from prebill.core.scoring.agreed import agreed_changes, as_agreed, ended, less_agreed, unchanged
from prebill.core.scoring.announced import as_announced
from prebill.core.scoring.detectors import DETECTORS, Scene
from prebill.core.scoring.features import (
    billed_usage,
    invariants,
    line_mix,
    peers,
    quantity,
    treatment,
    twins,
    usage_shape,
    variance,
)
from prebill.core.scoring.features.declaration import TOTALS, AllowedUse, alike, allowed
from prebill.core.scoring.features.season import portfolio_moves
from prebill.core.scoring.frames import (
    Books,
    ScoringInputs,
    judged_rows,
    reference_customers,
    settle,
    visible,
)
from prebill.core.scoring.models.forest import Forest
from prebill.core.scoring.norms import Norms, recent_of, repeat_share_of
from prebill.core.scoring.profiles import Everybody, Profiles, profiles_of

#: Invoice features by name.
FEATURES: Final = allowed(
    (
        *alike(
            {"known": "earlier invoices of the series that the comparison rests on, at most 8"},
            *TOTALS,
            null="never null",
        ).values(),
        *variance.FEATURES.values(),
        *invariants.FEATURES.values(),
        *treatment.FEATURES.values(),
        *line_mix.FEATURES.values(),
        *twins.FEATURES.values(),
        *billed_usage.FEATURES.values(),
        *(replace(one, name=f"usage_{name}") for name, one in usage_shape.FEATURES.items()),
    ),
    AllowedUse.VARIANCE,
)
#: Each detector's tail by the name of its column.
TAILS: Final = allowed((one.tail for one in DETECTORS), AllowedUse.VARIANCE)
#: What a feature row stores.
FEATURE_ROW: Final = {**FEATURES, **TAILS}


def scene_of(
    inputs: ScoringInputs, norms: Norms | None = None, everybody: Everybody | None = None
) -> Scene:
    """Compute all features as of each row's own issue date.

    Parameters
    ----------
    inputs : ScoringInputs
        As handed in; the as-of rule is applied here.
    norms : Norms or None
        What is ordinary, learnt before: only the drafts become rows. None: the settled past of
        ``inputs`` becomes rows too, and norms are learnt from it.
    everybody : Everybody or None
        What the whole company's invoices had, where ``inputs`` hold some customers only.
    """
    settled = settle(inputs)
    books = visible(settled)
    rows = judged_rows(books, settled) if norms is None else books.invoices.filter("is_draft")
    profiles = profiles_of(books, rows, settled, everybody)
    return scene_from(settled, books, rows, profiles=profiles, norms=norms)


def scene_from(
    inputs: ScoringInputs,
    books: Books,
    rows: pl.DataFrame,
    *,
    profiles: Profiles,
    norms: Norms | None,
) -> Scene:
    """Set rows beside profiles that were made before; see :func:`scene_of`.

    Parameters
    ----------
    inputs : ScoringInputs
        Settled.
    books : Books
        Holds at least the rows and their lines.
    rows : pl.DataFrame
        Invoices to judge, columns of ``books.invoices``.
    profiles : Profiles
        The past as these rows see it.
    norms : Norms or None
        None: learnt from the rows that are no drafts.
    """
    everybody = profiles.everybody
    own = Books(rows, books.lines.join(rows.select("invoice_id"), on="invoice_id", how="semi"))
    facts = invariants.line_facts(own)
    lines = invariants.against_past(
        facts, profiles.products, rates=everybody.rates, seen=everybody.seen
    )
    constancy = invariants.constancy(_past(lines)) if norms is None else norms.constancy
    lines = invariants.line_features(lines, constancy)
    shares = invariants.line_shares(_past(lines)) if norms is None else norms.line_shares
    measured, sized = own, facts
    if inputs.agreements is None and inputs.terms.is_empty():
        rows = rows.with_columns(agreed_change_minor=pl.lit(None, dtype=pl.Float64))
    else:
        if inputs.agreements is None:
            changes = agreed_changes(lines := as_announced(lines, rows, inputs.terms))
        else:
            lines = as_agreed(lines, inputs.agreements)
            changes = agreed_changes(lines, ended(profiles.previous, inputs.agreements))
        rows = rows.join(
            changes.drop("is_agreed"), on="invoice_id", how="left", maintain_order="left"
        )
        sized = unchanged(lines)
        measured = Books(less_agreed(own.invoices, changes), sized)
    shifts = quantity.line_shifts(sized, everybody.sizes)
    measured_rows = variance.measures(measured, shifts).join(
        peers.groups(rows, own.lines), on="invoice_id"
    )
    levels = _levels(rows, measured_rows, profiles.level)
    constants = invariants.features(lines, shares)
    recent, moves = (None, _moves(profiles)) if norms is None else (norms.recent, norms.moves)
    parts = (
        variance.features(levels, moves, recent),
        constants,
        treatment.features(
            rows, constants, inputs.customers, own=profiles.own, everybody=everybody.places
        ),
        line_mix.features(rows, own.lines, profiles.previous),
        twins.features(rows, own.lines, profiles.twins),
    )
    usage = usage_shape.features(rows, profiles.usage)
    meters = billed_usage.meters(_past(facts), usage) if norms is None else norms.meters
    metered = billed_usage.features(facts, usage, meters)
    plan = rows.lazy()
    for part in (*parts, metered, _largest(usage), profiles.earlier):
        plan = plan.join(part.lazy(), on="invoice_id", how="left", maintain_order="left")
    before = profiles.repeats.lazy()
    rows = collected(plan.join(before, on="previous_id", how="left", maintain_order="left"))
    if norms is None:
        repeats = repeat_share_of(_past(rows))
        norms = Norms(constancy, shares, repeats, recent_of(_past(levels)), moves, meters)
    return Scene(inputs, books, rows, lines, usage, norms, norms.tails)


def _moves(profiles: Profiles) -> pl.DataFrame:
    """What the portfolio did day by day, from customers that stand for it."""
    every = profiles.history
    chosen = reference_customers(every)
    stand = every.join(chosen, on="customer_id", how="semi")
    return portfolio_moves(stand, variance.SEASONAL)


def with_forest(scene: Scene, forest: Forest | None) -> Scene:
    """The same scene, judged by another forest."""
    return replace(scene, forest=forest)


def _past(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(~pl.col("is_draft"))


def _levels(rows: pl.DataFrame, measures: pl.DataFrame, profile: pl.DataFrame) -> pl.DataFrame:
    """Measures and profile of each row, in the order of the rows."""
    ids = rows.select("invoice_id", "is_draft")
    own = ids.join(measures, on="invoice_id", how="left", maintain_order="left")
    asked = ids.join(profile, on="invoice_id", how="left", maintain_order="left")
    return variance.compared(own, asked.drop("invoice_id", "is_draft"))


def _largest(usage: pl.DataFrame) -> pl.DataFrame:
    """The most unusual meter of each invoice, feature by feature."""
    return usage.group_by("invoice_id").agg(
        pl.col(name).max().alias(f"usage_{name}") for name in usage_shape.FEATURES
    )
