"""Made-up labels of judged drafts, and a folder's data set that has them."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from prebill.core.policy.model import Policy
from prebill.core.scoring.combine import error_probability
from training.dataset import Dataset, from_folder
from training.labelled import LABELLED


def with_labels(folder: Path) -> Dataset:
    """A folder's invoices beside labels: every kind of model finds what it learns from."""
    return replace(from_folder(folder), labelled=labelled(3_600))


def labelled(count: int = 6_000, *, error_share: float = 0.1, seed: int = 1) -> pl.DataFrame:
    """Drafts of half a year; every third error is seen by no judge but by the ratio alone."""
    rng = np.random.default_rng(seed)
    is_error = rng.random(count) < error_share
    is_quiet = is_error & (rng.random(count) < 0.3)
    level = np.where(is_error & ~is_quiet, 1 - rng.random(count) ** 3 * 0.1, rng.random(count))
    base = pl.DataFrame(
        {
            "invoice_id": [f"D{number:05}" for number in range(count)],
            "customer_id": [f"C{number % 90}" for number in range(count)],
            "day_on": [
                date(2026, 1, 1) + timedelta(days=180 * number // count) for number in range(count)
            ],
            "total_minor": rng.integers(1_000, 100_000, count),
            "is_error": is_error,
            "total_ratio": np.where(
                is_error, rng.normal(1.5, 0.4, count), rng.normal(0, 0.5, count)
            ),
            "tail_level": level,
            "anomaly_score": level,
        }
    ).with_columns(
        draft_version=pl.lit("1"),
        entity_id=pl.lit("E1"),
        currency=pl.lit("EUR"),
        source=pl.lit("verdict"),
        weight=pl.lit(1.0),
        propensity=pl.lit(None, dtype=pl.Float64),
        was_shown=pl.lit(value=False),
        matures_on=pl.col("day_on"),
        p_prior=error_probability(pl.col("anomaly_score"), Policy.default()),
    )
    absent = [name for name in LABELLED if name not in base.columns]
    return base.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent).select(
        pl.col(name).cast(kind) for name, kind in LABELLED.items()
    )
