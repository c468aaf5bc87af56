"""Models that scoring serves, and how they are fitted on history. Pure: frames and a seed in."""

import hashlib
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import polars as pl

from prebill.core.scoring.features import variance
from prebill.core.scoring.features.payment_history import receivables
from prebill.core.scoring.frames import ScoringInputs
from prebill.core.scoring.models.error_risk import ErrorRisk
from prebill.core.scoring.models.forest import LEAST_ROWS, Forest, fit_forest
from prebill.core.scoring.models.payment_risk import PaymentRisk, fit_payment_risk, training_rows

__all__ = [
    "FOREST_COLUMNS",
    "ErrorRisk",
    "Fitted",
    "Forest",
    "Models",
    "PaymentRisk",
    "fit_level",
    "fit_models",
    "level_rows",
]

#: A season that came again is no deviation.
FOREST_COLUMNS: Final = tuple(name for name in variance.FEATURES if name != "total_season")


@dataclass(frozen=True, slots=True)
class Models:
    """What scoring serves. None: a stated rule takes the model's place and says so."""

    forest: Forest | None = None
    payment_risk: PaymentRisk | None = None
    versions: dict[str, str] = field(default_factory=dict)
    error_risk: ErrorRisk | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """Models, and in words what the history did not allow."""

    models: Models
    notes: list[str]


def fit_models(
    rows: pl.DataFrame, inputs: ScoringInputs, *, seed: int, train_before: date | None = None
) -> Fitted:
    """Fit what the history allows, on nothing dated the cut-off or later.

    Parameters
    ----------
    rows : pl.DataFrame
        ``Scene.rows``: features of drafts and settled past invoices.
    inputs : ScoringInputs
        Settled by the as-of rule.
    seed : int
        Equal inputs and seed give equal models.
    train_before : date or None
        Cut-off; by default the earliest draft's issue date.
    """
    notes = []
    cut_off = train_before or inputs.cut_off
    forest = None
    if cut_off is not None:
        forest = fit_level(rows.filter(pl.col("issued_on") < cut_off), seed)
    if forest is None:
        notes.append(
            f"no isolation forest: fewer than {LEAST_ROWS} past invoices with own history; "
            "robust deviations judge the level"
        )
    risk = None if cut_off is None else _fit_payment(inputs, cut_off, seed)
    if risk is None:
        notes.append("no payment history: payment figures are a stated prior")
    elif risk.hazard is None:
        notes.append("payment history is short: own rates pulled to the portfolio's, no model")
    versions = {}
    if forest is not None:
        versions["forest"] = hashlib.sha256(forest.to_npz()).hexdigest()
    if risk is not None:
        versions["payment_risk"] = risk.digest
    return Fitted(Models(forest, risk, versions), notes)


def fit_level(rows: pl.DataFrame, seed: int) -> Forest | None:
    """Fit the level forest on settled past rows that have own history."""
    return fit_forest(level_rows(rows), FOREST_COLUMNS, seed)


def level_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """What the level forest learns from: settled past rows that have own history."""
    return rows.filter(~pl.col("is_draft"), pl.col("known") > 0)


def _fit_payment(inputs: ScoringInputs, cut_off: date, seed: int) -> PaymentRisk | None:
    """Fit payment risk; None without any payment or credit, because open then means unknown."""
    if inputs.payments.is_empty() and inputs.credit_notes.is_empty():
        return None
    known = receivables(inputs.history.invoices, inputs.payments, inputs.credit_notes)
    return fit_payment_risk(training_rows(known, cut_off, inputs.disputes), seed)
