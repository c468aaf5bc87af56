"""Who resolved such cases, in which queue, and what the cause was; how many first routings stuck.

Pure. Shares are of resolved cases with the same leading reason.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from prebill.core.triage.intervals import clopper_pearson
from prebill.core.triage.resolutions import once_a_case

#: Resolved cases below which nothing is recommended.
LEAST_CASES: Final = 5
STUCK: Final = pl.Schema(
    {
        "first_queue": pl.String,
        "cases": pl.Int64,
        "stuck": pl.Int64,
        "share": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Usual:
    """The most frequent value and how many of ``of`` cases had it."""

    value: str
    count: int
    of: int


@dataclass(frozen=True, slots=True)
class Routing:
    """What was usual for a reason. ``cause`` is of those that were wrong; None: none was."""

    code: str
    queue: Usual
    owner: Usual
    cause: Usual | None
    #: Of these cases, how many were resolved in the queue in which they were opened.
    stuck: int


def usual_routing(code: str, resolved: pl.DataFrame) -> Routing | None:
    """Say how cases of one reason were resolved; None: there are too few.

    Parameters
    ----------
    code : str
        Leading reason.
    resolved : pl.DataFrame, ``RESOLUTIONS``
        Resolved cases; those of other codes are left alone.
    """
    cases = once_a_case(resolved.filter(pl.col("code") == code))
    if cases.height < LEAST_CASES:
        return None
    wrong = cases.filter(pl.col("verdict") != "release")
    return Routing(
        code=code,
        queue=_usual(cases["queue"]),
        owner=_usual(cases["resolved_by"]),
        cause=None if wrong.is_empty() else _usual(wrong["reason_code"]),
        stuck=int((cases["queue"] == cases["first_queue"]).sum()),
    )


def first_routings(cases: pl.DataFrame) -> pl.DataFrame:
    """Count how many cases were resolved where they were opened.

    Parameters
    ----------
    cases : pl.DataFrame, one row a resolved case
        ``queue, first_queue``.

    Returns
    -------
    pl.DataFrame, ``STUCK``
        A row for all and one a first queue, with the exact 95 % interval.
    """
    if cases.is_empty():
        return pl.DataFrame(schema=STUCK)
    whole = cases.with_columns(first_queue=pl.lit(ALL))
    counts = [
        frame.group_by("first_queue").agg(
            cases=pl.len().cast(pl.Int64), stuck=is_stuck.sum().cast(pl.Int64)
        )
        for frame, is_stuck in (
            (whole.with_columns(own=cases["first_queue"]), pl.col("queue") == pl.col("own")),
            (cases, pl.col("queue") == pl.col("first_queue")),
        )
    ]
    table = pl.concat([counts[0], counts[1].sort("first_queue")])
    rows = [
        (name, of, stuck, stuck / of, *clopper_pearson(stuck, of))
        for name, of, stuck in table.iter_rows()
    ]
    return pl.DataFrame(rows, schema=STUCK, orient="row")


def _usual(values: pl.Series) -> Usual:
    """The most frequent value; of equally frequent ones the first by name."""
    counts = values.value_counts(name="count").sort("count", values.name, descending=[True, False])
    value, count = counts.row(0)
    return Usual(str(value), int(count), len(values))
