"""Many series of equal steps at once, by statsforecast; a short history gets a stated fallback.

Two methods are enough for what is forecast here (docs/quality.md has what they were chosen by):
exponential smoothing with a fitted rate for totals that wander about a level, and Theta for levels
that grow. Neither has a season: years are too few; a common one is taken off before.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import polars as pl

#: Steps of history below which no model is fitted. Residuals of fewer say nothing about the next.
GATE: Final = 12


class Method(StrEnum):
    """How a series is continued."""

    SMOOTHING = "smoothing"
    THETA = "theta"


class Basis(StrEnum):
    """What an expectation rests on: a model, or for short histories their median or last value."""

    MODEL = "model"
    MEDIAN = "median"
    LAST = "last"


_FALLBACKS: Final[dict[Method, tuple[Callable[[pl.Expr], pl.Expr], Basis]]] = {
    Method.SMOOTHING: (lambda value: value.median(), Basis.MEDIAN),
    Method.THETA: (lambda value: value.sort_by("step").last(), Basis.LAST),
}


def forecast(
    history: pl.DataFrame, *, method: Method, steps: int, gate: int = GATE
) -> pl.DataFrame:
    """Continue each series.

    Parameters
    ----------
    history : pl.DataFrame, one row per series and step
        ``series`` String, ``step`` Int64 (one apart), ``value`` Float64 without nulls.
    method : Method
        For series of at least ``gate`` steps. A shorter one is continued by the median of its
        steps, or by its last one where it is a level that grows.
    steps : int
        How far.
    gate : int
        Steps of history that a model needs.

    Returns
    -------
    pl.DataFrame, one row per series and step ahead
        ``series``, ``ahead`` (1 is the next step), ``expected`` (never below 0), ``basis``.

    Examples
    --------
    >>> short = pl.DataFrame({"series": "a", "step": [1, 2, 3], "value": [4.0, 6.0, 9.0]})
    >>> forecast(short, method=Method.SMOOTHING, steps=1).rows()
    [('a', 1, 6.0, 'median')]
    """
    known = pl.len().over("series")
    ahead = pl.DataFrame({"ahead": range(1, steps + 1)}, schema={"ahead": pl.Int64})
    value = pl.col("value")
    plain, basis = _FALLBACKS[method]
    short = history.filter(known < gate).group_by("series").agg(expected=plain(value))
    repeated = short.join(ahead, how="cross").with_columns(basis=pl.lit(basis.value))
    found = [repeated.select("series", "ahead", "expected", "basis")]
    enough = history.filter(known >= gate).sort("series", "step")
    if not enough.is_empty():
        found.append(_fitted(enough, method, steps))
    return pl.concat(found).sort("series", "ahead")


def _fitted(history: pl.DataFrame, method: Method, steps: int) -> pl.DataFrame:
    from statsforecast import StatsForecast
    from statsforecast.models import SimpleExponentialSmoothingOptimized, Theta

    models: dict[Method, Any] = {
        Method.SMOOTHING: SimpleExponentialSmoothingOptimized(alias="expected"),
        Method.THETA: Theta(season_length=1, alias="expected"),
    }
    frame = history.select(unique_id="series", ds="step", y="value")
    found = StatsForecast(models=[models[method]], freq=1).forecast(df=frame, h=steps)
    return found.select(
        pl.col("unique_id").alias("series"),
        (pl.col("ds").rank("ordinal").over("unique_id")).cast(pl.Int64).alias("ahead"),
        pl.col("expected").cast(pl.Float64).clip(0.0),
        pl.lit(Basis.MODEL.value).alias("basis"),
    )
