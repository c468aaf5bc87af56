"""What reviewers had to do: drafts and cases by month, and when verdicts were given."""

from datetime import datetime

import polars as pl

from prebill.store.engine import Tx

_TEXT = pl.String()
_COUNT = pl.Int64()


#: The month of a draft of another engine: of its period, else of its issue.
_MONTH = "substr(coalesce(g.period_start_on, g.issued_on), 1, 7)"


def cycles(tx: Tx, *, before_at: datetime) -> pl.DataFrame:
    """Return ``period, drafts, cases`` of each month, the oldest first.

    Versions of one draft are one draft and one case. A missing invoice is a case of its month. The
    drafts of other engines count like our own.
    """
    drafts = tx.frame(
        "SELECT period, draft_id FROM drafts WHERE entered_at < :before_at "
        f"UNION SELECT {_MONTH}, g.draft_id FROM engine_drafts g WHERE g.entered_at < :before_at",
        {"period": _TEXT, "draft_id": _TEXT},
        {"before_at": before_at},
    )
    cases = tx.frame(
        "SELECT d.period AS period, c.draft_id FROM cases c "
        "JOIN drafts d ON d.draft_id = c.draft_id AND d.version = c.draft_version "
        "WHERE c.kind = 'draft' AND c.opened_at < :before_at "
        f"UNION SELECT {_MONTH}, c.draft_id FROM cases c "
        "JOIN engine_drafts g ON g.draft_id = c.draft_id AND g.version = c.draft_version "
        "WHERE c.kind = 'gate' AND c.opened_at < :before_at "
        "UNION SELECT substr(c.draft_id, 5, 7), c.draft_id FROM cases c "
        "WHERE c.kind = 'gap' AND c.opened_at < :before_at",
        {"period": _TEXT, "draft_id": _TEXT},
        {"before_at": before_at},
    )
    counted = cases.group_by("period").agg(cases=pl.len().cast(_COUNT))
    months = drafts.group_by("period").agg(drafts=pl.len().cast(_COUNT))
    joined = months.join(counted, on="period", how="left")
    return joined.with_columns(pl.col("cases").fill_null(0)).sort("period")


def verdict_times(tx: Tx, *, before_at: datetime) -> pl.DataFrame:
    """Return ``entered_by, entered_at`` of every verdict."""
    return tx.frame(
        "SELECT entered_by, entered_at FROM verdicts WHERE entered_at < :before_at "
        "ORDER BY entered_at",
        {"entered_by": _TEXT, "entered_at": pl.Datetime("us", "UTC")},
        {"before_at": before_at},
    )
