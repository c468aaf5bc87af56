"""How often people did what was recommended, where they were told and where they were not. Pure."""

from typing import Final

import polars as pl

from prebill.core.triage.intervals import clopper_pearson
from prebill.core.triage.recommend import LOOK

AGREEMENT: Final = pl.Schema(
    {
        "group": pl.String,
        "cases": pl.Int64,
        "recommended": pl.Int64,
        "agreed": pl.Int64,
        "share": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
#: Name of a group → the answers in it.
GROUPS: Final = {
    "shown": pl.col("was_shown"),
    "blind": ~pl.col("was_shown"),
    "blind, by rules": ~pl.col("was_shown") & (pl.col("basis") == "rules"),
    "blind, by verdicts": ~pl.col("was_shown") & (pl.col("basis") == "verdicts"),
}


def agreement(answers: pl.DataFrame) -> pl.DataFrame:
    """Count how often the verdict was the recommended action.

    The blind share is the accuracy of the recommendation; that the shown share is higher may only
    mean that people follow it.

    Parameters
    ----------
    answers : pl.DataFrame, one row a resolved case
        ``action`` (recommended; ``look``: none), ``verdict``, ``was_shown``, ``basis``.

    Returns
    -------
    pl.DataFrame, ``AGREEMENT``
        A row a group; ``share`` of ``recommended`` with its exact 95 % interval, null without any.
    """
    is_told = pl.col("action") != LOOK
    counts = pl.concat(
        answers.select(
            group=pl.lit(name),
            cases=within.sum().cast(pl.Int64),
            recommended=(within & is_told).sum().cast(pl.Int64),
            agreed=(within & is_told & (pl.col("action") == pl.col("verdict")))
            .sum()
            .cast(pl.Int64),
        )
        for name, within in GROUPS.items()
    )
    ends = [
        clopper_pearson(agreed, told) if told else (None, None)
        for agreed, told in counts.select("agreed", "recommended").iter_rows()
    ]
    share = pl.when(pl.col("recommended") > 0).then(pl.col("agreed") / pl.col("recommended"))
    return counts.with_columns(
        share=share,
        low=pl.Series([low for low, _ in ends], dtype=pl.Float64),
        high=pl.Series([high for _, high in ends], dtype=pl.Float64),
    )
