"""What reviewers had to do: drafts and cases by month, and when verdicts were given."""

from datetime import datetime

import polars as pl

from prebill.store.engine import Tx

_TEXT = pl.String()
_COUNT = pl.Int64()


def cycles(tx: Tx, *, before_at: datetime) -> pl.DataFrame:
    """Return ``period, drafts, cases`` of each month, the oldest first.

    Versions of one draft are one draft and one case. A missing invoice is a case of its month.
    """
    drafts = tx.frame(
        "SELECT period, count(DISTINCT draft_id) AS drafts FROM drafts "
        "WHERE entered_at < :before_at GROUP BY period ORDER BY period",
        {"period": _TEXT, "drafts": _COUNT},
        {"before_at": before_at},
    )
    cases = tx.frame(
        "SELECT d.period AS period, count(DISTINCT c.draft_id) AS cases FROM cases c "
        "JOIN drafts d ON d.draft_id = c.draft_id AND d.version = c.draft_version "
        "WHERE c.kind = 'draft' AND c.opened_at < :before_at GROUP BY d.period",
        {"period": _TEXT, "cases": _COUNT},
        {"before_at": before_at},
    )
    gaps = tx.frame(
        "SELECT substr(draft_id, 5, 7) AS period, count(*) AS gaps FROM cases "
        "WHERE kind = 'gap' AND opened_at < :before_at GROUP BY substr(draft_id, 5, 7)",
        {"period": _TEXT, "gaps": _COUNT},
        {"before_at": before_at},
    )
    joined = drafts.join(cases, on="period", how="left").join(gaps, on="period", how="left")
    counted = pl.col("cases").fill_null(0) + pl.col("gaps").fill_null(0)
    return joined.select("period", "drafts", cases=counted).sort("period")


def verdict_times(tx: Tx, *, before_at: datetime) -> pl.DataFrame:
    """Return ``entered_by, entered_at`` of every verdict."""
    return tx.frame(
        "SELECT entered_by, entered_at FROM verdicts WHERE entered_at < :before_at "
        "ORDER BY entered_at",
        {"entered_by": _TEXT, "entered_at": pl.Datetime("us", "UTC")},
        {"before_at": before_at},
    )
