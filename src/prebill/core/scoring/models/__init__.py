"""Models that scoring serves, and how they are fitted on history. Pure: frames and a seed in."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from prebill.core.scoring.features import variance
from prebill.core.scoring.models.forest import Forest, fit_forest

__all__ = ["FOREST_COLUMNS", "Forest", "Models", "fit_level"]

FOREST_COLUMNS: Final = tuple(variance.FEATURES)


@dataclass(frozen=True, slots=True)
class Models:
    """What scoring serves. None: a stated rule takes the model's place and says so."""

    forest: Forest | None = None
    payment_risk: object | None = None
    versions: dict[str, str] = field(default_factory=dict)


def fit_level(rows: pl.DataFrame, seed: int) -> Forest | None:
    """Fit the level forest on settled past rows that have own history."""
    past = rows.filter(~pl.col("is_draft"), pl.col("known") > 0)
    return fit_forest(past, FOREST_COLUMNS, seed)


def version_of(content: bytes) -> str:
    """The digest that names a model."""
    return hashlib.sha256(content).hexdigest()
