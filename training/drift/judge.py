"""Measure each window against the reference and say which alarms stand. Pure.

An alarm is a check that was beyond its limit in so many windows in a row as ``drift.toml`` says. It
is found by measuring the earlier windows again: nothing is stored between two calls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import polars as pl

from training.drift.limits import Check, Limits
from training.drift.statistics import (
    DECILES,
    UPPER,
    Edges,
    bin_edges,
    binned,
    calibration_gap,
    share_band,
)
from training.drift.windows import Window, Windows, cut

#: Reference and window as bins → population stability index by column.
Stability = Callable[[pl.DataFrame, pl.DataFrame], Mapping[str, float]]

MEASURES: Final = pl.Schema(
    {
        "watched": pl.String(),
        "check": pl.String(),
        "name": pl.String(),
        "window": pl.Int64(),
        "start_on": pl.Date(),
        "end_on": pl.Date(),
        "rows": pl.Int64(),
        "reference": pl.Float64(),
        "current": pl.Float64(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "is_beyond": pl.Boolean(),
        "is_alarm": pl.Boolean(),
        "action": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class Watched:
    """Rows of one kind and what of them is compared.

    ``rows`` has ``row_id, at_on, cluster`` and the columns named below. ``at_on`` is the day on
    which the row was judged or, for outcomes, on which its outcome had matured: all rows of a
    window were seen equally long.
    """

    name: str
    rows: pl.DataFrame
    reference: tuple[date, date] | None = None
    features: Sequence[str] = ()
    top: Sequence[str] = ()
    scores: Sequence[str] = ()
    #: Label → upper edges of its classes.
    labels: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    shares: Sequence[str] = ()
    #: Probability column → outcome column.
    outcomes: Mapping[str, str] = field(default_factory=dict)

    def edges(self, reference: pl.DataFrame) -> Edges:
        """Bins of every column whose distribution is compared."""
        levels = {**dict.fromkeys(self.top, DECILES), **dict.fromkeys(self.scores, UPPER)}
        return {**bin_edges(reference, levels), **self.labels}

    def compared(self) -> list[tuple[Check, str]]:
        """Which check compares the distribution of which column."""
        return [
            *((Check.FEATURE, name) for name in self.top),
            *((Check.SCORE, name) for name in self.scores),
            *((Check.LABEL, name) for name in self.labels),
        ]


@dataclass(frozen=True, slots=True)
class Judged:
    """``measures``: one row per window, check and name; ``note``: what it was compared with."""

    watched: Watched
    windows: Windows
    measures: pl.DataFrame

    @property
    def alarms(self) -> pl.DataFrame:
        """The alarms of the latest window."""
        latest = self.measures.filter(pl.col("window") == pl.col("window").max())
        return latest.filter("is_alarm")


def judge(
    watched: Watched,
    limits: Limits,
    stability: Stability,
    *,
    as_of_on: date,
    last: int | None = None,
) -> Judged:
    """Measure the windows of a watch.

    Parameters
    ----------
    watched : Watched
        Rows and what is compared.
    limits : Limits
        From ``drift.toml``.
    stability : callable
        Evidently's index: see evidence.py.
    as_of_on : date
        Rows of this day or later are not read.
    last : int or None
        Measure only so many of the latest windows; None: all.

    Returns
    -------
    Judged
        ``measures`` has the columns ``MEASURES``. ``value`` is beyond its limit below ``low`` or
        above ``high``: an index, points of null share, standard errors, or a share.
    """
    windows = cut(watched.rows, limits, as_of_on=as_of_on, reference=watched.reference)
    reference = windows.reference
    rows: list[dict[str, object]] = []
    if reference is not None:
        edges = watched.edges(reference.rows)
        bins = binned(reference.rows, edges)
        first = 0 if last is None else max(0, len(windows.windows) - last)
        for number, window in enumerate(windows.windows[first:], start=first + 1):
            found = [
                *_indices(watched, stability(bins, binned(window.rows, edges)), limits),
                *_missing(watched, reference, window, limits),
                *_calibration(watched, window, limits),
                *_shares(watched, reference, window, limits),
            ]
            facts = {"window": number, "rows": window.rows.height, "watched": watched.name}
            span = {"start_on": window.start_on, "end_on": window.end_on}
            rows += [{**facts, **span, **one} for one in found]
    measures = pl.DataFrame(rows, schema_overrides=MEASURES) if rows else pl.DataFrame()
    return Judged(watched, windows, _with_alarms(measures, limits))


def _indices(
    watched: Watched, found: Mapping[str, float], limits: Limits
) -> list[dict[str, object]]:
    """Population stability indices of top features, scores and labels."""
    return [
        {"check": check, "name": name, "value": found[name], "high": limits.checks[check].value}
        for check, name in watched.compared()
        if name in found
    ]


def _missing(
    watched: Watched, reference: Window, window: Window, limits: Limits
) -> list[dict[str, object]]:
    """How many points more of each feature are null."""
    names = [name for name in watched.features if name not in limits.null_by_nature]
    before = reference.rows.select(pl.col(names).is_null().mean()).to_dicts()
    now = window.rows.select(pl.col(names).is_null().mean()).to_dicts()
    return [
        {
            "check": Check.MISSING,
            "name": name,
            "reference": before[0][name],
            "current": now[0][name],
            "value": now[0][name] - before[0][name],
            "high": limits.checks[Check.MISSING].value,
        }
        for name in names
    ]


def _calibration(watched: Watched, window: Window, limits: Limits) -> list[dict[str, object]]:
    """Observed less predicted in clustered standard errors, over rows that have both."""
    found: list[dict[str, object]] = []
    limit = limits.checks[Check.CALIBRATION].value
    for probability, outcome in watched.outcomes.items():
        known = window.rows.drop_nulls([probability, outcome])
        if known.height < limits.min_rows:
            continue
        gap = calibration_gap(known, probability, outcome, "cluster")
        found.append(
            {
                "check": Check.CALIBRATION,
                "name": probability,
                "reference": gap.predicted,
                "current": gap.observed,
                "value": gap.z,
                "low": -limit,
                "high": limit,
            }
        )
    return found


def _shares(
    watched: Watched, reference: Window, window: Window, limits: Limits
) -> list[dict[str, object]]:
    """Shares against the band simulated for a window of as many rows."""
    found: list[dict[str, object]] = []
    for name in watched.shares:
        before, now = reference.rows.drop_nulls(name), window.rows.drop_nulls(name)
        if min(before.height, now.height) < limits.min_rows:
            continue
        part = limits.checks[Check.SHARE].value
        band = share_band(before, name, "cluster", rows=now.height, part=part, seed=limits.seed)
        share = float(now.select(pl.col(name).cast(pl.Float64).mean()).item())
        found.append(
            {
                "check": Check.SHARE,
                "name": name,
                "reference": band.share,
                "current": share,
                "value": share,
                "low": band.low,
                "high": band.high,
            }
        )
    return found


def _with_alarms(measures: pl.DataFrame, limits: Limits) -> pl.DataFrame:
    """Add ``is_beyond``, ``is_alarm`` and the action asked for."""
    if measures.is_empty():
        return pl.DataFrame(schema=MEASURES)
    actions = {check.value: limit.action.value for check, limit in limits.checks.items()}
    beyond = (pl.col("value") > pl.col("high")) | (pl.col("value") < pl.col("low"))
    in_a_row = (
        pl.col("is_beyond")
        .cast(pl.Int64)
        .rolling_sum(limits.windows_in_a_row, min_samples=limits.windows_in_a_row)
        .over("watched", "check", "name", order_by="window")
    )
    absent = [pl.lit(None, dtype).alias(n) for n, dtype in MEASURES.items() if n not in measures]
    return (
        measures.with_columns(absent)
        .with_columns(is_beyond=beyond.fill_null(value=False))
        .with_columns(
            is_alarm=(in_a_row == limits.windows_in_a_row).fill_null(value=False),
            action=pl.col("check").replace_strict(actions),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in MEASURES.items())
        .sort("window", "check", "name", maintain_order=True)
    )
