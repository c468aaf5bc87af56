"""When a draft is final: its grace has passed and its usage has arrived, or its issue-by date has.

A source's watermark is the last day on which it delivered an event of a meter, whoever the
customer. A draft that waits says for what; one that must not wait any longer says what is missing.
"""

from datetime import date, timedelta
from typing import Final

import polars as pl

from prebill.core.calendar import Period
from prebill.core.schemas.internal import FINDINGS

#: A source silent for longer than this before the period is retired, not late.
RETIRED_AFTER: Final = timedelta(days=7)
#: A source with usage on fewer days is a single delivery, not a feed that could be late.
REGULAR_DAYS: Final = 5
LATE_USAGE: Final = "usage_late"


def late_sources(marks: pl.DataFrame, period: Period) -> pl.DataFrame:
    """Return the sources that have not yet reached the last day of the period.

    Parameters
    ----------
    marks : pl.DataFrame, one row per (meter, source)
        ``watermark_on``: last UTC day with an event, of all customers; ``days``: on how many days
        there was one, counted from ``RETIRED_AFTER`` before the period.
    period : Period
        The billed month.

    Returns
    -------
    pl.DataFrame
        The rows of ``marks`` that are late.

    Examples
    --------
    >>> marks = pl.DataFrame({"meter": ["calls"] * 3, "source": ["a", "b", "c"], "days": 30,
    ...     "watermark_on": [date(2026, 10, 31), date(2026, 10, 30), date(2026, 8, 1)]})
    >>> late_sources(marks, Period(date(2026, 10, 1), date(2026, 11, 1)))["source"].to_list()
    ['b']
    """
    last_on = period.end_on - timedelta(days=1)
    is_in_use = pl.col("watermark_on") >= period.start_on - RETIRED_AFTER
    is_regular = pl.col("days") >= REGULAR_DAYS
    return marks.filter(is_in_use, is_regular, pl.col("watermark_on") < last_on)


def finality(
    drafts: pl.DataFrame,
    lines: pl.DataFrame,
    late: pl.DataFrame,
    entities: pl.DataFrame,
    *,
    period: Period,
    today: dict[str, date],
) -> pl.DataFrame:
    """Tell of each draft whether it may be issued.

    Parameters
    ----------
    drafts : pl.DataFrame, DRAFTS
        The drafts of a run.
    lines : pl.DataFrame, DRAFT_LINES
        Their ``meter`` names what the draft waits for.
    late : pl.DataFrame
        From :func:`late_sources`.
    entities : pl.DataFrame, LEGAL_ENTITIES
        ``grace_days`` and ``issue_by_days`` count from the period's end.
    period : Period
        The billed month.
    today : dict of str to date
        Entity → the run's date in the entity's zone.

    Returns
    -------
    pl.DataFrame, one row per draft
        ``draft_id, is_final, late_text`` (null: nothing is late).
    """
    told = pl.format("{} from {} since {}", "meter", "source", "watermark_on")
    waiting = (
        lines.select("draft_id", "meter")
        .unique()
        .join(late, on="meter")
        .sort("draft_id", "meter", "source")
        .group_by("draft_id", maintain_order=True)
        .agg(late_text=told.str.join(", "))
    )
    passed = entities.select(
        "entity_id",
        "grace_days",
        "issue_by_days",
        days=(
            pl.col("entity_id").replace_strict(today, default=None, return_dtype=pl.Date())
            - period.end_on
        ).dt.total_days(),
    )
    is_over_grace = pl.col("days") >= pl.col("grace_days")
    is_due = pl.col("days") >= pl.col("issue_by_days")
    return (
        drafts.select("draft_id", "entity_id")
        .join(passed, on="entity_id", how="left")
        .join(waiting, on="draft_id", how="left")
        .select(
            "draft_id",
            is_final=((is_over_grace & pl.col("late_text").is_null()) | is_due).fill_null(
                value=False
            ),
            late_text="late_text",
        )
        .sort("draft_id")
    )


def late_findings(judged: pl.DataFrame) -> pl.DataFrame:
    """Return FINDINGS of drafts that are due although usage is late: a person must look."""
    due = judged.filter("is_final", pl.col("late_text").is_not_null())
    return FINDINGS.conform(
        due.select(
            pl.col("draft_id").alias("invoice_id"),
            detector=pl.lit("billing"),
            code=pl.lit(LATE_USAGE),
            basis=pl.lit("could_not_judge"),
            text=pl.format(
                "the issue-by date has come and usage is still missing: {}", "late_text"
            ),
            expected=pl.lit("usage up to the last day of the period"),
            line_ids=pl.lit(""),
            evidence=pl.lit(""),
        )
    )
