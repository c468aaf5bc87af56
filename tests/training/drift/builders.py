"""Rows to watch, drawn from a seed: one customer in ten has several rows a week."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from training.drift.judge import Watched
from training.drift.limits import Limits, read

FIRST = date(2026, 1, 5)
WEEKS = 12
A_WEEK = 600


def limits() -> Limits:
    return read(Path(__file__).parents[3] / "models")


def end_of(week: int) -> date:
    return FIRST + timedelta(days=7 * week)


def rows(weeks: int = WEEKS, seed: int = 1) -> pl.DataFrame:
    """Judged rows whose probability is right, two in a hundred held."""
    draw = np.random.default_rng(seed)
    count = weeks * A_WEEK
    chance = draw.random(count)
    return pl.DataFrame(
        {
            "row_id": [f"D{number:06}" for number in range(count)],
            "cluster": [f"C{number % 550:04}" for number in range(count)],
            "at_on": [FIRST + timedelta(days=number * 7 // A_WEEK) for number in range(count)],
            "size": draw.normal(0.0, 1.0, count),
            "score": draw.random(count),
            "p_late": chance,
            "is_late": draw.random(count) < chance,
            "is_held": draw.random(count) < 0.02,
        }
    )


def watch(frame: pl.DataFrame) -> Watched:
    return Watched(
        "test",
        frame,
        features=["size"],
        top=["size"],
        scores=["score"],
        shares=["is_held"],
        outcomes={"p_late": "is_late"},
    )


def changed(
    frame: pl.DataFrame, name: str, change: Callable[[pl.Expr], pl.Expr], week: int
) -> pl.DataFrame:
    """Change a column from a week on."""
    is_after = pl.col("at_on") >= end_of(week)
    return frame.with_columns(
        pl.when(is_after).then(change(pl.col(name))).otherwise(name).alias(name)
    )
